package httpdeadline_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/grove-go/grove/deadline/httpdeadline"
)

// discard is a writer that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkHandler serves a request that is answered at once, through the middleware and http.TimeoutHandler.
func BenchmarkHandler(b *testing.B) {
	body := []byte("hello")
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	for _, impl := range []struct {
		name    string
		handler http.Handler
	}{
		{"none", hello},
		{"httpdeadline", httpdeadline.Handler(hello, httpdeadline.Policy{Default: time.Minute})},
		{"TimeoutHandler", http.TimeoutHandler(hello, time.Minute, "")},
	} {
		b.Run("impl="+impl.name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
			r.Header.Set("Request-Timeout-Ms", "20000")
			w := &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				impl.handler.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkTransport sends a request with a deadline and without one to a transport that answers at once.
func BenchmarkTransport(b *testing.B) {
	res := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	rt := httpdeadline.Transport(roundTrip(func(*http.Request) (*http.Response, error) { return res, nil }), httpdeadline.Policy{Margin: ms})
	within, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
	}{{"true", within}, {"false", context.Background()}} {
		b.Run("deadline="+c.name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(c.ctx, http.MethodGet, "http://leaf/", nil)
			r.Header.Set("Accept", "text/plain")
			b.ReportAllocs()
			for b.Loop() {
				res, err := rt.RoundTrip(r)
				if err != nil {
					b.Fatal(err)
				}
				_ = res.Body.Close()
			}
		})
	}
}
