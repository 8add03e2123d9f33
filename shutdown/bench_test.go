package shutdown_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/grove-go/grove/shutdown"
)

func newApp(b *testing.B) *shutdown.App {
	b.Helper()
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler), Signals: []os.Signal{}})
	if err != nil {
		b.Fatal(err)
	}
	return app
}

func BenchmarkTrack(b *testing.B) {
	app, ctx := newApp(b), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		done, err := app.Track(ctx, "work")
		if err != nil {
			b.Fatal(err)
		}
		done()
	}
}

// BenchmarkStartAndStop is a whole life of an app with a component in each phase.
func BenchmarkStartAndStop(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		app := newApp(b)
		for phase := shutdown.Announce; phase <= shutdown.Telemetry; phase++ {
			app.Add(shutdown.Component{
				Name:  phase.String(),
				Start: func(context.Context) error { return nil },
				Stop:  func(context.Context) error { return nil },
			})
		}
		app.Add(shutdown.Component{Name: "work", Run: func(context.Context) error { return nil }})
		if err := app.Run(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHTTPRequest is a request over one keep-alive connection, to a server of HTTP and to the same one bare.
func BenchmarkHTTPRequest(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) })
	b.Run("server=bare", func(b *testing.B) {
		s := &http.Server{Handler: handler}
		benchmarkRequests(b, s.Serve, func() { _ = s.Close() })
	})
	b.Run("server=shutdown", func(b *testing.B) {
		app := newApp(b)
		benchmarkRequests(b, func(ln net.Listener) error {
			app.Add(shutdown.HTTP("http", &http.Server{Handler: handler}, ln))
			return app.Run(b.Context())
		}, func() { app.Shutdown(nil) })
	})
}

func benchmarkRequests(b *testing.B, serve func(net.Listener) error, stop func()) {
	b.Helper()
	ln, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	over := make(chan error)
	go func() { over <- serve(ln) }()
	transport := new(http.Transport)
	url := "http://" + ln.Addr().String()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fetch(b.Context(), transport, url); err != nil {
			b.Fatal(err)
		}
	}
	transport.CloseIdleConnections()
	stop()
	if err := <-over; err != nil && !errors.Is(err, http.ErrServerClosed) {
		b.Fatal(err)
	}
}
