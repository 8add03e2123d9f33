package servicetest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/internal/servicetest"
)

// echo serves bytes back and ends with the test.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var done sync.WaitGroup
	t.Cleanup(func() {
		require.NoError(t, ln.Close())
		done.Wait()
	})
	done.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				_, err := io.Copy(c, c)
				if err = errors.Join(err, c.Close()); err != nil {
					t.Log(err) // the proxy was cut
				}
			})
		}
	})
	return ln.Addr().String()
}

func dial(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c, bufio.NewReader(c)
}

func TestProxyPassesBytesBothWaysUntilItIsCut(t *testing.T) {
	p := servicetest.NewProxy(t, echo(t))
	c, r := dial(t, p.Addr)
	_, err := c.Write([]byte("one\n"))
	require.NoError(t, err)
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "one\n", line)

	p.Cut()
	_, err = r.ReadString('\n')
	require.Error(t, err)

	_, r = dial(t, p.Addr)
	_, err = r.ReadString('\n')
	require.Error(t, err)
}

func TestProxyHoldsBytesBackWhileItIsStalled(t *testing.T) {
	p := servicetest.NewProxy(t, echo(t))
	c, r := dial(t, p.Addr)
	p.Stall()
	_, err := c.Write([]byte("one\n"))
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	_, err = r.ReadString('\n')
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	require.NoError(t, c.SetReadDeadline(time.Time{}))
	p.Open()
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "one\n", line)
}
