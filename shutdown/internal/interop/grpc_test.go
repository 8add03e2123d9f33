package interop_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/grove-go/grove/shutdown"
)

// service is a service without generated code: a unary method and a stream of the server's, of strings.
type service struct {
	echo   func(ctx context.Context, in string) (string, error)
	stream func(ctx context.Context, send func(string) error) error
}

func (s *service) register(server *grpc.Server) {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Echo",
			Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var in wrapperspb.StringValue
				if err := decode(&in); err != nil {
					return nil, err
				}
				out, err := s.echo(ctx, in.GetValue())
				return wrapperspb.String(out), err
			},
		}},
		Streams: []grpc.StreamDesc{{
			StreamName: "Stream", ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				return s.stream(stream.Context(), func(out string) error { return stream.SendMsg(wrapperspb.String(out)) })
			},
		}},
	}, s)
}

// appContext is a stats.Handler that makes contexts of RPCs those of an app.
type appContext struct {
	stats.Handler
	app *shutdown.App
}

func (c appContext) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return c.app.Context(ctx)
}
func (c appContext) HandleRPC(context.Context, stats.RPCStats) {}
func (c appContext) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}
func (c appContext) HandleConn(context.Context, stats.ConnStats) {}

// site is an app with a gRPC server.
type site struct {
	*shutdown.App
	addr string
	over chan error // what Run returned
}

func serve(t *testing.T, config shutdown.Config, s *service) *site {
	t.Helper()
	config.Logger = slog.New(slog.DiscardHandler)
	config.Signals = []os.Signal{}
	app, err := shutdown.New(config)
	require.NoError(t, err)
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(grpc.StatsHandler(appContext{app: app}))
	s.register(server)
	w := &site{App: app, addr: ln.Addr().String(), over: make(chan error, 1)}
	app.Add(shutdown.GRPC("grpc", server, ln))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.over <- app.Run(context.WithoutCancel(t.Context()))
	}()
	t.Cleanup(func() {
		app.Shutdown(nil)
		<-ended
	})
	return w
}

func (s *site) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	return c
}

func echo(ctx context.Context, c *grpc.ClientConn, in string) (string, error) {
	var out wrapperspb.StringValue
	err := c.Invoke(ctx, "/test/Echo", wrapperspb.String(in), &out)
	return out.GetValue(), err
}

func TestGRPCWaitsForRPCsInFlightAndRefusesNewConnections(t *testing.T) {
	came, pass := make(chan struct{}), make(chan struct{})
	s := serve(t, shutdown.Config{}, &service{echo: func(ctx context.Context, in string) (string, error) {
		close(came)
		<-pass
		return in, ctx.Err()
	}})
	c := s.dial(t)
	defer func() { require.NoError(t, c.Close()) }()
	answer := make(chan error, 1)
	go func() {
		out, err := echo(t.Context(), c, "hello")
		if err == nil && out != "hello" {
			err = errors.New(out)
		}
		answer <- err
	}()
	<-came
	s.Shutdown(nil)
	for { // until nobody listens
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
		if err != nil {
			break
		}
		require.NoError(t, c.Close())
	}
	require.Empty(t, s.over)
	close(pass)
	require.NoError(t, <-answer)
	require.NoError(t, <-s.over)
}

func TestGRPCStreamsEndWithStopping(t *testing.T) {
	s := serve(t, shutdown.Config{}, &service{stream: func(ctx context.Context, send func(string) error) error {
		if err := send("first"); err != nil {
			return err
		}
		<-shutdown.Stopping(ctx)
		return send("last")
	}})
	c := s.dial(t)
	defer func() { require.NoError(t, c.Close()) }()
	stream, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/test/Stream")
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(wrapperspb.String("")))
	require.NoError(t, stream.CloseSend())
	var out wrapperspb.StringValue
	require.NoError(t, stream.RecvMsg(&out))
	require.Equal(t, "first", out.GetValue())
	s.Shutdown(nil)
	require.NoError(t, stream.RecvMsg(&out))
	require.Equal(t, "last", out.GetValue())
	require.ErrorIs(t, stream.RecvMsg(&out), io.EOF)
	require.NoError(t, <-s.over)
}

func TestGRPCCancelsRPCsWhenItsTimeIsUp(t *testing.T) {
	came := make(chan struct{})
	s := serve(t, shutdown.Config{Timeout: time.Second}, &service{echo: func(ctx context.Context, _ string) (string, error) {
		close(came)
		<-ctx.Done()
		return "", ctx.Err()
	}})
	c := s.dial(t)
	defer func() { require.NoError(t, c.Close()) }()
	answer := make(chan error, 1)
	go func() {
		_, err := echo(t.Context(), c, "")
		answer <- err
	}()
	<-came
	s.Shutdown(nil)
	err := <-s.over
	require.ErrorContains(t, err, "grpc (InFlight): Stop: requests were cancelled: context deadline exceeded")
	require.Equal(t, 1, shutdown.ExitCode(err))
	require.Equal(t, codes.Unavailable, status.Code(<-answer))
}

func hang(never <-chan struct{}) { <-never }

func TestGRPCReportsTheStacksOfStuckHandlers(t *testing.T) {
	came, never := make(chan struct{}), make(chan struct{})
	s := serve(t, shutdown.Config{Timeout: time.Second}, &service{echo: func(context.Context, string) (string, error) {
		close(came)
		hang(never)
		return "", nil
	}})
	c := s.dial(t)
	defer func() { require.NoError(t, c.Close()) }()
	answer := make(chan error, 1)
	go func() {
		_, err := echo(t.Context(), c, "")
		answer <- err
	}()
	<-came
	s.Shutdown(nil)
	err := <-s.over
	require.Equal(t, 124, shutdown.ExitCode(err))
	require.ErrorContains(t, err, "interop_test.hang(")
	require.ErrorContains(t, err, "grpc_test.go:")
	require.Error(t, <-answer)
	close(never)
}

func TestGRPCServerThatCannotServeStopsTheApp(t *testing.T) {
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler), Signals: []os.Signal{}})
	require.NoError(t, err)
	app.Add(shutdown.GRPC("grpc", grpc.NewServer(), ln))
	err = app.Run(t.Context())
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorContains(t, err, `shutdown: "grpc" failed: `)
}

func TestGRPCDoesNotWaitForConnectionsThatSayNothing(t *testing.T) {
	s := serve(t, shutdown.Config{}, &service{echo: func(_ context.Context, in string) (string, error) { return in, nil }})
	silent, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
	require.NoError(t, err)
	defer func() { require.NoError(t, silent.Close()) }()
	c := s.dial(t) // which is idle when the stop begins
	defer func() { require.NoError(t, c.Close()) }()
	_, err = echo(t.Context(), c, "hello")
	require.NoError(t, err)
	s.Shutdown(nil)
	require.NoError(t, <-s.over)
	require.Less(t, s.Report().Took, 10*time.Second, "of the 20 that it has")
}

// TestGRPCLosesNoRPC has clients that send one RPC after the other, over a connection each or over a new one each time, until
// nobody listens.
func TestGRPCLosesNoRPC(t *testing.T) {
	for _, keep := range []bool{true, false} {
		for range 10 {
			s := serve(t, shutdown.Config{}, &service{echo: func(_ context.Context, in string) (string, error) { return in, nil }})
			var answered atomic.Int32
			enough := make(chan struct{})
			var clients sync.WaitGroup
			for range 8 {
				clients.Go(func() {
					c := s.dial(t)
					defer func() { _ = c.Close() }()
					for {
						_, err := echo(t.Context(), c, "x")
						if err != nil {
							if !refused(t, s.addr) {
								t.Errorf("keep %v: lost while somebody listens: %v", keep, err)
							} else if !isRefusal(err) {
								t.Errorf("keep %v: lost: %v", keep, err)
							}
							return
						}
						if answered.Add(1) == 200 {
							close(enough)
						}
						if !keep {
							_ = c.Close()
							c = s.dial(t)
						}
					}
				})
			}
			<-enough
			s.Shutdown(nil)
			require.NoError(t, <-s.over)
			clients.Wait()
		}
	}
}

func refused(t *testing.T, addr string) bool {
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// isRefusal reports whether an RPC has not been sent because nobody listened.
func isRefusal(err error) bool { return strings.Contains(err.Error(), "connection refused") }
