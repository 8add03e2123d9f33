package shed_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/looplag/shed"
)

// A server sheds its searches, suggestions first, and never its health checks.
func ExampleShedder_Middleware() {
	probe := looplag.New(looplag.Config{})
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- probe.Run(ctx) }()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "alive") })
	s := shed.New(probe, shed.Policy{Priority: func(r *http.Request) shed.Priority {
		switch r.URL.Path {
		case "/livez":
			return shed.Critical
		case "/suggest":
			return shed.Sheddable
		}
		return shed.Normal
	}})
	w := httptest.NewRecorder()
	s.Middleware(mux).ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/livez", nil))
	fmt.Println(w.Code, w.Body)

	stop()
	<-stopped
	// Output: 200 alive
}

// Work in the background gives way when the server is late.
func ExampleShedder_Allow() {
	s := shed.New(late(0), shed.Policy{})
	if s.Allow(shed.Sheddable) {
		fmt.Println("refreshing the cache")
	}
	// Output: refreshing the cache
}

// A queue that stands is shed in part.
func ExampleStats() {
	s := shed.New(late(60*time.Millisecond), shed.Policy{})
	for s.Stats().Refused.Normal == 0 {
		s.Allow(shed.Normal)
	}
	stats := s.Stats()
	fmt.Println(stats.Wait, stats.Share > 0.3, stats.Share <= 0.9)
	// Output: 60ms true true
}

// late is a source of that lateness.
type late time.Duration

func (l late) Overdue() time.Duration { return time.Duration(l) }
