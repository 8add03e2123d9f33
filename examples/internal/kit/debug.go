package kit

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/grove-go/grove/shutdown"
)

// Status has what a server tells about its parts, under their names. The functions return what has a form in JSON.
type Status map[string]func() any

// Debug is the component that serves those who run the server, on a listener that its users do not reach: /livez and
// /readyz as app sees itself, profiles under /debug/pprof, and the status as JSON at /debug/grove. It is there from
// the start, and stops last, so that a drain can be watched.
func Debug(app *shutdown.App, ln net.Listener, status Status) shutdown.Component {
	mux := http.NewServeMux()
	mux.Handle("GET /livez", app.Livez())
	mux.Handle("GET /readyz", app.Readyz())
	mux.Handle("GET /debug/grove", status)
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

// ServeHTTP writes the status as an object of JSON.
func (s Status) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	now := make(map[string]any, len(s))
	for name, status := range s {
		now[name] = status()
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.Encode(now) //nolint:errcheck // a client that has left misses nothing
}
