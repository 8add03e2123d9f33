package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/run"
	"go.uber.org/fx"
	"golang.org/x/sync/errgroup"

	"github.com/grove-go/grove/shutdown"
)

// Drain serves h on ln until stop is closed, and returns when the drain is over.
type Drain func(ctx context.Context, ln net.Listener, h http.Handler, stop <-chan struct{}) error

// drainTimeout is what every drain may take.
const drainTimeout = 10 * time.Second

// Drainer is somebody's Drain.
type Drainer = peer[Drain]

// Drains returns the implementations of Drain.
func Drains() []Drainer {
	return []Drainer{
		{Grove, drainGrove},
		{"http.Server.Shutdown", drainHTTP},
		{"fx", drainFx},
		{"oklog/run", drainOklog},
		{"controller-runtime's way", drainController},
	}
}

func drainGrove(ctx context.Context, ln net.Listener, h http.Handler, stop <-chan struct{}) error {
	app, err := shutdown.New(shutdown.Config{Timeout: drainTimeout, Signals: []os.Signal{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	app.Add(shutdown.HTTP("http", &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}, ln))
	go func() {
		<-stop
		app.Shutdown(nil)
	}()
	return app.Run(ctx)
}

// shut is what those do who use the server's own Shutdown.
func shut(ctx context.Context, s *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return s.Shutdown(ctx)
}

// served is the result of Serve.
func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func drainHTTP(ctx context.Context, ln net.Listener, h http.Handler, stop <-chan struct{}) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	over := make(chan error, 1)
	go func() { over <- served(s.Serve(ln)) }()
	<-stop
	return errors.Join(shut(ctx, s), <-over)
}

func drainFx(ctx context.Context, ln net.Listener, h http.Handler, stop <-chan struct{}) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	over := make(chan error, 1)
	app := fx.New(fx.NopLogger, fx.StopTimeout(drainTimeout), fx.Invoke(func(lc fx.Lifecycle) {
		lc.Append(fx.Hook{
			OnStart: func(context.Context) error {
				go func() { over <- served(s.Serve(ln)) }()
				return nil
			},
			OnStop: s.Shutdown,
		})
	}))
	if err := app.Start(ctx); err != nil {
		return err
	}
	<-stop
	stopping, cancel := context.WithTimeout(ctx, app.StopTimeout())
	defer cancel()
	return errors.Join(app.Stop(stopping), <-over)
}

func drainOklog(ctx context.Context, ln net.Listener, h http.Handler, stop <-chan struct{}) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	var g run.Group
	shutErr := make(chan error, 1)
	g.Add(func() error {
		if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return <-shutErr
	}, func(error) { shutErr <- shut(ctx, s) })
	g.Add(func() error { <-stop; return nil }, func(error) {})
	return g.Run()
}

// drainController is how the manager of controller-runtime runs its servers: each waits for the end of a context.
func drainController(ctx context.Context, ln net.Listener, h http.Handler, stop <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		over := make(chan error, 1)
		go func() {
			<-ctx.Done()
			over <- shut(ctx, s)
		}()
		return errors.Join(served(s.Serve(ln)), <-over)
	})
	<-stop
	cancel()
	return g.Wait()
}

// Drained is what became of one drain under load.
type Drained struct {
	Answered, Lost int
	// Lag is the time from the end of the last request to the return of the drain.
	Lag time.Duration
}

// drainUnder lets clients of a server ask for its stop. The server echoes, each request in its time.
func drainUnder(ctx context.Context, drain Drain, each time.Duration, clients func(url string, d *Drained, stop func())) (Drained, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return Drained{}, err
	}
	var last atomic.Int64
	var d Drained
	stop, over := make(chan struct{}), make(chan error, 1)
	go func() {
		err := drain(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(each)
			io.Copy(w, r.Body) //nolint:errcheck // the client notices
			last.Store(time.Now().UnixNano())
		}), stop)
		d.Lag = time.Since(time.Unix(0, last.Load()))
		over <- err
	}()
	clients("http://"+ln.Addr().String(), &d, func() { close(stop) })
	return d, <-over
}

// MeasureDrain lets clients send requests, one after the other, over connections that they keep or over a new one each
// time. After some hundred answers the server is asked to stop. A request is lost if it is not answered, unless
// its connection was refused: then its client leaves.
func MeasureDrain(ctx context.Context, drain Drain, clients int, keepAlive bool) (Drained, error) {
	return drainUnder(ctx, drain, 0, func(url string, d *Drained, stop func()) {
		var answered, lost atomic.Int64
		var running sync.WaitGroup
		for range clients {
			running.Go(func() {
				transport := &http.Transport{DisableKeepAlives: !keepAlive}
				defer transport.CloseIdleConnections()
				for {
					err := post(ctx, transport, url)
					switch dial := (*net.OpError)(nil); {
					case err == nil:
						if answered.Add(1) == 200 {
							stop()
						}
						continue
					case errors.As(err, &dial) && dial.Op == "dial":
					default:
						lost.Add(1)
					}
					return
				}
			})
		}
		running.Wait()
		d.Answered, d.Lost = int(answered.Load()), int(lost.Load())
	})
}

// MeasureLongDrain has one request under way, which takes that long, when the server is asked to stop.
func MeasureLongDrain(ctx context.Context, drain Drain, long time.Duration) (Drained, error) {
	return drainUnder(ctx, drain, long, func(url string, d *Drained, stop func()) {
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		ctx := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) {
			time.AfterFunc(long/10, stop) // the handler has been called by then
		}})
		if post(ctx, transport, url) == nil {
			d.Answered++
		} else {
			d.Lost++
		}
	})
}

// post sends a request that no transport repeats by itself.
func post(ctx context.Context, transport http.RoundTripper, url string) error {
	const body = "hello"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, struct{ io.Reader }{strings.NewReader(body)})
	if err != nil {
		return err
	}
	r.ContentLength = int64(len(body))
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it was read
	echo, err := io.ReadAll(answer.Body)
	if err == nil && string(echo) != body {
		err = fmt.Errorf("sent %q, received %q", body, echo)
	}
	return err
}
