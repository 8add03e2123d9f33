package load_test

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/load"
)

// start starts a server that is a script. The processors that it and this process keep to must be there.
func start(t *testing.T, stderr *strings.Builder, script string) (*load.Process, error) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil || runtime.NumCPU() < 2 {
		t.Skip("needs a shell and two processors")
	}
	return load.Start(t.Context(), stderr, "sh", "-c", script)
}

func TestStartWaitsUntilTheServerTellsItsURL(t *testing.T) {
	var stderr strings.Builder
	p, err := start(t, &stderr, `echo loading >&2; echo "serving url=http://a:1 debug=http://b:2" >&2; echo more >&2; exec sleep 1000`)
	require.NoError(t, err)
	began := time.Now()
	p.Stop()
	require.Less(t, time.Since(began), time.Minute)
	require.Equal(t, "http://a:1", p.URL)
	require.True(t, strings.HasPrefix(stderr.String(), "loading\nserving url=http://a:1"), stderr.String())
}

func TestStartFailsWithAServerThatDoes(t *testing.T) {
	var stderr strings.Builder
	_, err := start(t, &stderr, "echo port in use >&2; exit 1")
	require.ErrorContains(t, err, "does not serve")
	require.Equal(t, "port in use\n", stderr.String())
}
