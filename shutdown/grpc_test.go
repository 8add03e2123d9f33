package shutdown_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

// rpcServer is the three methods of a gRPC server. What the real one does with them is tested in internal/interop.
type rpcServer struct {
	w       *world
	stopped chan struct{}
	unread  bool // it does not read from its connection before a while has passed
}

func (s *rpcServer) Serve(ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		s.w.clients.Go(func() {
			if s.unread {
				time.Sleep(1500 * time.Millisecond)
			}
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
		})
	}
}
func (s *rpcServer) GracefulStop() { s.w.note("graceful"); <-s.stopped }
func (s *rpcServer) Stop()         { s.w.note("stop"); close(s.stopped) }

func TestGRPCIsToldToStopWhenItHasBegunToServeWhatItHasAccepted(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		s := &rpcServer{w: w, stopped: make(chan struct{}), unread: true}
		p := newPipes()
		w.Add(shutdown.GRPC("grpc", s, p))
		w.clients.Go(func() {
			c := p.dial(t)
			c.send("x")
			c.requireClosed()
		})
		time.AfterFunc(5*time.Second, func() { close(s.stopped) })
		require.NoError(t, w.run())
		w.requireJournal("graceful at 1.5s")
	})
}

func TestGRPCIsStoppedWhenItsTimeIsUp(t *testing.T) {
	inWorld(t, shutdown.Config{Timeout: 10 * time.Second}, func(t *testing.T, w *world) {
		s := &rpcServer{w: w, stopped: make(chan struct{})}
		w.Add(shutdown.GRPC("grpc", s, newPipes()))
		err := w.run()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		w.requireJournal("graceful at 1s", "stop at 7.9s")
	})
}

func TestGRPCPanicsWithoutServerOrListener(t *testing.T) {
	require.PanicsWithValue(t, "shutdown: GRPC needs a server and a listener", func() { shutdown.GRPC("a", nil, newPipes()) })
	require.PanicsWithValue(t, "shutdown: GRPC needs a server and a listener", func() { shutdown.GRPC("a", &rpcServer{}, nil) })
}

// brokenServer panics in Serve.
type brokenServer struct{ rpcServer }

func (*brokenServer) Serve(net.Listener) error { panic("boom") }

func TestServerThatPanicsDoesNotHoldUpTheStop(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		s := &brokenServer{rpcServer{w: w, stopped: make(chan struct{})}}
		close(s.stopped)
		w.Add(shutdown.GRPC("grpc", s, newPipes()))
		var p *shutdown.PanicError
		require.ErrorAs(t, w.Run(t.Context()), &p)
		require.Zero(t, w.elapsed())
	})
}

func TestContextIsOneInWhichStoppingWorks(t *testing.T) {
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler), Signals: []os.Signal{}})
	require.NoError(t, err)
	ctx := app.Context(context.WithValue(t.Context(), key{}, "value"))
	require.Equal(t, "value", ctx.Value(key{}))
	select {
	case <-shutdown.Stopping(ctx):
		require.Fail(t, "nobody has asked")
	default:
	}
	app.Shutdown(errors.New("reason"))
	<-shutdown.Stopping(ctx)
	require.NoError(t, ctx.Err())
}
