//go:build unix

package shutdown_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

// manager is a service manager's socket, of which the environment tells.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", c.LocalAddr().String())
	return c
}

// requireTold requires the next notification.
func requireTold(t *testing.T, c *net.UnixConn, state string) {
	t.Helper()
	buf := make([]byte, 1000)
	n, err := c.Read(buf)
	require.NoError(t, err)
	require.Equal(t, state, string(buf[:n]))
}

// requireToldNothing requires that there is no notification that has not been read.
func requireToldNothing(t *testing.T, c *net.UnixConn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func newLoggedApp(t *testing.T, config shutdown.Config) (*shutdown.App, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	config.Signals = []os.Signal{}
	app, err := shutdown.New(config)
	require.NoError(t, err)
	return app, &log
}

func TestTheServiceManagerIsToldWhenTheAppIsReadyAndHowLongItMayStop(t *testing.T) {
	names := map[string]string{"path": filepath.Join(t.TempDir(), "notify")}
	if runtime.GOOS == "linux" {
		names["abstract"] = "@grove-" + filepath.Base(t.TempDir())
	}
	for kind, name := range names {
		t.Run(kind, func(t *testing.T) {
			socket := manager(t, name)
			app, log := newLoggedApp(t, shutdown.Config{Timeout: 10 * time.Second})
			app.Add(
				shutdown.Component{Name: "slow", Start: func(context.Context) error { requireToldNothing(t, socket); return socket.SetReadDeadline(time.Time{}) }},
				shutdown.Component{Name: "work", Phase: shutdown.Work, Run: func(context.Context) error {
					requireTold(t, socket, "READY=1")
					return nil
				}},
				shutdown.Component{Name: "registry", Phase: shutdown.Announce, Stop: func(context.Context) error {
					requireTold(t, socket, "STOPPING=1\nEXTEND_TIMEOUT_USEC=11000000")
					return nil
				}},
			)
			require.NoError(t, app.Run(t.Context()))
			requireToldNothing(t, socket)
			require.NotContains(t, log.String(), "cannot notify")
		})
	}
}

func TestTheServiceManagerIsNotToldThatAnAppIsReadyWhoseStartFailed(t *testing.T) {
	socket := manager(t, filepath.Join(t.TempDir(), "notify"))
	app, _ := newLoggedApp(t, shutdown.Config{})
	app.Add(shutdown.Component{Name: "db", Start: func(context.Context) error { return errors.New("broken") }})
	require.Error(t, app.Run(t.Context()))
	requireTold(t, socket, "STOPPING=1\nEXTEND_TIMEOUT_USEC=26000000")
	requireToldNothing(t, socket)
}

func TestAServiceManagerThatIsGoneOrReadsNothingIsOnlyLogged(t *testing.T) {
	t.Run("gone", func(t *testing.T) {
		t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
		app, log := newLoggedApp(t, shutdown.Config{})
		app.Shutdown(nil)
		require.NoError(t, app.Run(t.Context()))
		require.Contains(t, log.String(), "cannot notify the service manager")
		require.Contains(t, log.String(), "nobody")
	})
	t.Run("reads nothing", func(t *testing.T) {
		socket := manager(t, filepath.Join(t.TempDir(), "notify"))
		c, err := net.DialUnix("unixgram", nil, socket.LocalAddr().(*net.UnixAddr))
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close()) }()
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
		for err == nil { // until its queue is full
			_, err = c.Write([]byte("x"))
		}
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		app, log := newLoggedApp(t, shutdown.Config{})
		app.Shutdown(nil)
		require.NoError(t, app.Run(t.Context()))
		require.Contains(t, log.String(), "i/o timeout")
	})
}
