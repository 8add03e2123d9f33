package kit

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/grove-go/grove/shutdown"
)

// Debug is the component that serves those who run the server, on a listener that its users do not reach: /livez and
// /readyz as app sees itself, the live page at /debug/grove, /metrics, and profiles under /debug/pprof. It is there from
// the start, and stops last, so that a drain can be watched.
func Debug(app *shutdown.App, ln net.Listener, t *Telemetry) shutdown.Component {
	mux := http.NewServeMux()
	mux.Handle("GET /livez", app.Livez())
	mux.Handle("GET /readyz", app.Readyz())
	mux.Handle("/debug/grove", t.Handler())
	mux.Handle("GET /metrics", t.Metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return shutdown.Component{
		Name:  "debug",
		Phase: shutdown.Telemetry,
		Run: func(context.Context) error {
			if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
		// A profile that is being taken has a second to end.
		StopTimeout: time.Second,
		Stop: func(ctx context.Context) error {
			if server.Shutdown(ctx) != nil {
				return server.Close()
			}
			return nil
		},
	}
}
