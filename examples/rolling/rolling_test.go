package main_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/internal/kit"
	rolling "github.com/grove-go/grove/examples/rolling"
)

// needNginx skips the test where replicas and their proxy cannot run.
func needNginx(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the replicas have addresses that only Linux has")
	}
	if _, err := exec.LookPath("nginx"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("nginx is needed: ", err)
		}
		t.Skip("nginx is needed: ", err)
	}
}

func TestRollingRestartLosesNothing(t *testing.T) {
	needNginx(t)
	const requests = 5000
	sent, restarts, lost, err := rolling.Roll(t.Context(), requests, 16, 16)
	require.NoError(t, err)
	require.Empty(t, lost)
	require.GreaterOrEqual(t, sent, int64(requests))
	require.GreaterOrEqual(t, restarts, 4)
}

func TestWrongFlagsExitWithTwoAndTellWhatIsAllowed(t *testing.T) {
	for arg, want := range map[string]string{
		"-clients=0":   `invalid value "0" for flag -clients: want a whole number from 1`,
		"-clients=-1":  `invalid value "-1" for flag -clients: want a whole number from 1`,
		"-requests=0":  `invalid value "0" for flag -requests: want a whole number from 1`,
		"-requests=1k": `invalid value "1k" for flag -requests: want a whole number from 1`,
		"-streams=-1":  `invalid value "-1" for flag -streams: want a whole number from 0`,
	} {
		var out bytes.Buffer
		require.Equal(t, 2, kit.Exit(&out, "rolling", rolling.Run(ended(t), []string{arg})))
		require.Contains(t, out.String(), want)
	}
}

// ended is a context with which nothing is started.
func ended(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestNothingIsStartedWithoutNginx(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("PATH", temp)
	require.ErrorContains(t, rolling.Run(t.Context(), nil), `"nginx": executable file not found`)
	requireEmpty(t, temp)
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
