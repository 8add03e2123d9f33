package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestASignalLeavesNeitherProcessesNorFiles(t *testing.T) {
	needNginx(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		temp := t.TempDir()
		command := exec.CommandContext(t.Context(), os.Args[0], "-requests", "1000000000")
		command.Env = append(os.Environ(), commandVariable+"=1", "TMPDIR="+temp)
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // all that it starts is in its group
		require.NoError(t, command.Start())
		group := -command.Process.Pid
		t.Cleanup(func() {
			if t.Failed() {
				syscall.Kill(group, syscall.SIGKILL) //nolint:errcheck // perhaps there is none
			}
		})
		require.Eventually(t, func() bool {
			started, err := filepath.Glob(filepath.Join(temp, "rolling*", "nginx.pid"))
			return err == nil && len(started) > 0
		}, time.Minute, 20*time.Millisecond)
		require.NoError(t, command.Process.Signal(signal))
		var exit *exec.ExitError
		require.ErrorAs(t, command.Wait(), &exit)
		require.Equal(t, 1, exit.ExitCode())
		require.ErrorIs(t, syscall.Kill(group, 0), syscall.ESRCH)
		requireEmpty(t, temp)
	}
}
