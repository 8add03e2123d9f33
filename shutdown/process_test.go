//go:build unix

package shutdown_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProcessEndsOnSIGTERMUnderLoadAndLosesNothing(t *testing.T) {
	for _, keepAlive := range []bool{true, false} {
		server := exec.CommandContext(t.Context(), os.Args[0])
		server.Env = append(os.Environ(), serverVariable+"=1")
		server.Stderr = os.Stderr
		out, err := server.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, server.Start())
		addr, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)

		l := startLoad(t.Context(), strings.TrimSpace(addr), keepAlive, 500)
		<-l.enough
		stopped := time.Now()
		require.NoError(t, server.Process.Signal(syscall.SIGTERM))
		require.NoError(t, server.Wait(), "exit code 0")
		l.requireNothingLost(t, stopped)
	}
}
