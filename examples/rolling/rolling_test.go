package main_test

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	rolling "github.com/grove-go/grove/examples/rolling"
)

func TestRollingRestartLosesNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the replicas have addresses that only Linux has")
	}
	if _, err := exec.LookPath("nginx"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("nginx is needed: ", err)
		}
		t.Skip("nginx is needed: ", err)
	}
	const requests = 5000
	sent, restarts, lost, err := rolling.Roll(t.Context(), requests, 16, 16)
	require.NoError(t, err)
	require.Empty(t, lost)
	require.GreaterOrEqual(t, sent, int64(requests))
	require.GreaterOrEqual(t, restarts, 4)
}
