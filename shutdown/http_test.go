package shutdown_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

func TestHTTPAnswersRequestsInFlightAndAnnouncesThatItCloses(t *testing.T) {
	g := newGate()
	s := serve(t, shutdown.Config{}, &http.Server{Handler: g}, listen(t))
	c := s.dial(t)
	c.get()
	<-g.came
	s.Shutdown(nil)
	requireRefused(t, "tcp", s.addr)
	close(g.pass)
	r := c.answer()
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.True(t, r.Close, "it has begun before the stop, and says so nevertheless")
	c.requireClosed()
	require.NoError(t, <-s.over)
}

// requireRefused waits until nobody listens any more.
func requireRefused(t *testing.T, network, addr string) {
	t.Helper()
	for {
		c, err := new(net.Dialer).DialContext(t.Context(), network, addr)
		if err != nil {
			return
		}
		require.NoError(t, c.Close())
	}
}

func TestHTTPAcceptsRequestsDuringTheDrainDelayAndAnnouncesThatItCloses(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-shutdown.Stopping(r.Context())
		}
		w.Write([]byte("ok"))
	})
	announced := make(chan struct{})
	s := serve(t, shutdown.Config{DrainDelay: time.Second}, &http.Server{Handler: handler}, listen(t),
		shutdown.Component{Name: "late", Phase: shutdown.Announce, Stop: func(context.Context) error { close(announced); return nil }})
	before := s.dial(t)
	before.get()
	require.False(t, before.answer().Close)
	s.Shutdown(nil)
	<-announced
	for { // the hooks of a phase are called together, so this one may come before that of HTTP
		after := s.dial(t)
		after.get()
		if after.answer().Close {
			break
		}
		require.NoError(t, after.Close())
	}
	before.get()
	require.True(t, before.answer().Close)
	require.NoError(t, <-s.over)
}

func TestHTTPServesConnectionsThatWereStillInTheQueue(t *testing.T) {
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")} {
		t.Run(network, func(t *testing.T) {
			// The first connection keeps Serve from accepting the others.
			accepted, goOn := make(chan struct{}), make(chan struct{})
			var once sync.Once
			ln := listenOn(t, network, addr)
			s := serve(t, shutdown.Config{}, &http.Server{
				Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) }),
				ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
					once.Do(func() { close(accepted) })
					<-goOn
					return ctx
				},
			}, ln)
			var clients []*client
			ask := func() {
				c := dialTo(t, network, s.addr)
				c.get()
				clients = append(clients, c)
			}
			ask()
			<-accepted
			if network == "tcp" {
				for range 10 {
					ask()
				}
				s.Shutdown(nil)
				requireRefused(t, network, s.addr) // by the kernel: the socket is still open
			} else {
				s.Shutdown(nil)
				_, err := ln.Accept()
				require.ErrorIs(t, err, os.ErrDeadlineExceeded, "this is how Serve is told that the listener is to close")
				for range 10 {
					ask()
				}
			}
			close(goOn)
			for _, c := range clients {
				require.Equal(t, http.StatusOK, c.answer().StatusCode)
			}
			require.NoError(t, <-s.over)
			requireRefused(t, network, s.addr)
		})
	}
}

func TestHTTPWaitsForHijackedConnectionsAndKillsThem(t *testing.T) {
	for _, kill := range []bool{false, true} {
		hijacked := make(chan net.Conn, 1)
		s := serve(t, shutdown.Config{Timeout: time.Second}, &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				c, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					panic(err)
				}
				hijacked <- c
			}),
		}, listen(t))
		c := s.dial(t)
		c.get()
		server := <-hijacked
		_, wrapped := server.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn)
		require.True(t, wrapped)
		s.Shutdown(nil)
		requireRefused(t, "tcp", s.addr)
		if kill {
			require.Equal(t, 124, shutdown.ExitCode(<-s.over))
			c.requireClosed()
			continue
		}
		_, err := io.WriteString(server, "bye\n")
		require.NoError(t, err)
		line, err := c.r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "bye\n", line)
		require.NoError(t, server.Close())
		require.NoError(t, <-s.over)
	}
}

func TestHTTPCallsWhatRegisterOnShutdownWasGivenWhileConnectionsAreHijacked(t *testing.T) {
	hijacked := make(chan net.Conn, 1)
	over := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(over)
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		hijacked <- c
	})}
	server.RegisterOnShutdown(func() { _ = (<-hijacked).Close() })
	s := serve(t, shutdown.Config{}, server, listen(t))
	c := s.dial(t)
	c.get()
	<-over
	require.NoError(t, s.stop())
	c.requireClosed()
}

func TestHTTPHandlersHaveTheHardContext(t *testing.T) {
	came, ended := make(chan struct{}), make(chan error, 1)
	s := serve(t, shutdown.Config{Timeout: time.Second}, &http.Server{
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-shutdown.Stopping(r.Context())
			if r.Context().Err() == nil {
				close(came)
			}
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		}),
	}, listen(t))
	c := s.dial(t)
	c.get()
	s.Shutdown(nil)
	<-came
	err := <-s.over
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "http (InFlight): Stop: requests were cancelled: context deadline exceeded")
	require.Equal(t, 1, shutdown.ExitCode(err), "it has noticed the end of its context")
	require.ErrorIs(t, <-ended, shutdown.ErrStopping)
}

func stuckHandler(never trap) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) { never.waitForever() }
}

func TestHTTPReportsTheStacksOfStuckHandlers(t *testing.T) {
	never := make(trap)
	came := make(chan struct{})
	s := serve(t, shutdown.Config{Timeout: time.Second}, &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(came)
			stuckHandler(never)(w, r)
		}),
	}, listen(t))
	c := s.dial(t)
	c.get()
	<-came
	err := s.stop()
	require.Equal(t, 124, shutdown.ExitCode(err))
	require.ErrorContains(t, err, "http (InFlight): Run is stuck after ")
	require.ErrorContains(t, err, "shutdown_test.trap.waitForever")
	require.ErrorContains(t, err, "http_test.go:")
	c.requireClosed()
	close(never)
}

func TestHTTPStreamsEndWithStopping(t *testing.T) {
	s := serve(t, shutdown.Config{}, &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Write([]byte("data: first\n\n"))
			w.(http.Flusher).Flush()
			<-shutdown.Stopping(r.Context())
			w.Write([]byte("data: last\n\n"))
		}),
	}, listen(t))
	c := s.dial(t)
	c.get()
	for line := ""; line != "data: first\n"; {
		var err error
		line, err = c.r.ReadString('\n')
		require.NoError(t, err)
	}
	s.Shutdown(nil)
	rest, err := io.ReadAll(c.r)
	require.NoError(t, err)
	require.Contains(t, string(rest), "data: last\n")
	require.NoError(t, <-s.over)
}

func TestTrackIsAllowedToRequestsInFlight(t *testing.T) {
	g := newGate()
	tracked := make(chan error, 1)
	detached := make(chan context.Context, 1)
	closed := make(chan struct{})
	var done func()
	var s *site
	s = serve(t, shutdown.Config{}, &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.ServeHTTP(w, r)
			ctx := context.WithoutCancel(r.Context())
			var err error
			done, err = s.Track(ctx, "write-back")
			detached <- ctx
			tracked <- err
		}),
	}, listen(t), shutdown.Component{Name: "intake is closed", Phase: shutdown.InFlight, Stop: func(context.Context) error {
		close(closed)
		return nil
	}})
	c := s.dial(t)
	c.get()
	<-g.came
	s.Shutdown(nil)
	<-closed
	close(g.pass)
	require.NoError(t, <-tracked)
	c.answer()
	c.requireClosed()
	_, err := s.Track(t.Context(), "another")
	require.ErrorIs(t, err, shutdown.ErrStopping)
	ctx := <-detached
	for err = nil; err == nil; { // the connection closes a moment before the request counts as over
		var again func()
		if again, err = s.Track(ctx, "too late"); err == nil {
			again()
		}
	}
	require.ErrorIs(t, err, shutdown.ErrStopping)
	select {
	case err := <-s.over:
		require.Fail(t, "did not wait for tracked work", "%v", err)
	default:
	}
	done()
	require.NoError(t, <-s.over)
}

func TestHTTPCallsTheServersOwnHooks(t *testing.T) {
	type named struct{ name string }
	states := make(chan http.ConnState, 10)
	onShutdown := make(chan struct{})
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"base", "conn", "run"} {
				w.Write([]byte(r.Context().Value(named{name}).(string)))
			}
		}),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), named{"base"}, "base ")
		},
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, named{"conn"}, "conn ")
		},
		ConnState: func(_ net.Conn, state http.ConnState) { states <- state },
	}
	server.RegisterOnShutdown(func() { close(onShutdown) })
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler), Signals: []os.Signal{}})
	require.NoError(t, err)
	ln := listen(t)
	app.Add(shutdown.HTTP("http", server, ln))
	over := make(chan error, 1)
	go func() { over <- app.Run(context.WithValue(t.Context(), named{"run"}, "run")) }()
	c := (&site{addr: ln.Addr().String()}).dial(t)
	c.get()
	require.Equal(t, "base conn run", c.answer().Body)
	app.Shutdown(nil)
	require.NoError(t, <-over)
	<-onShutdown
	for _, state := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateClosed} {
		require.Equal(t, state, <-states)
	}
}

func TestHTTPEndsTheContextThatBaseContextMade(t *testing.T) {
	type named struct{}
	came := make(chan context.Context, 1)
	s := serve(t, shutdown.Config{Timeout: time.Second}, &http.Server{
		BaseContext: func(net.Listener) context.Context { return context.WithValue(context.Background(), named{}, "base") },
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			came <- r.Context()
			<-r.Context().Done()
		}),
	}, listen(t))
	s.dial(t).get()
	ctx := <-came
	s.Shutdown(nil)
	<-shutdown.Stopping(ctx)
	require.Error(t, <-s.over)
	require.ErrorIs(t, context.Cause(ctx), shutdown.ErrStopping)
	require.Equal(t, "base", ctx.Value(named{}))
}

func TestHTTPServerThatCannotServeStopsTheApp(t *testing.T) {
	ln := listen(t)
	require.NoError(t, ln.Close())
	s := serve(t, shutdown.Config{}, &http.Server{}, ln)
	require.ErrorIs(t, <-s.over, net.ErrClosed)
	require.ErrorContains(t, s.Report(), `shutdown: "http" failed: `)
	require.Len(t, s.Report().Steps, 5, "no other hook has failed: %v", s.Report())
	s.over <- nil
}

func TestHTTPPanicsWithoutServerOrListener(t *testing.T) {
	ln := listen(t)
	defer func() { require.NoError(t, ln.Close()) }()
	require.PanicsWithValue(t, "shutdown: HTTP needs a server and a listener", func() { shutdown.HTTP("a", nil, ln) })
	require.PanicsWithValue(t, "shutdown: HTTP needs a server and a listener", func() { shutdown.HTTP("a", &http.Server{}, nil) })
}
