package shed_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/looplag/shed"
)

func BenchmarkAllow(b *testing.B) {
	b.ReportAllocs()
	s := shed.New(looplag.New(looplag.Config{}), shed.Policy{})
	for b.Loop() {
		s.Allow(shed.Normal)
	}
}

// All processors count in the same word.
func BenchmarkAllowInParallel(b *testing.B) {
	b.ReportAllocs()
	s := shed.New(looplag.New(looplag.Config{}), shed.Policy{})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Allow(shed.Normal)
		}
	})
}

// What a refused request costs beside what net/http does for any.
func BenchmarkRefusal(b *testing.B) {
	b.ReportAllocs()
	s := shed.New(stuck{}, shed.Policy{})
	h := s.Middleware(http.NotFoundHandler())
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
	for began := time.Now(); time.Since(began) < time.Second || s.Stats().Share < 0.9; {
		s.Allow(shed.Normal)
	}
	w := writer{}
	for b.Loop() {
		clear(w)
		h.ServeHTTP(w, r)
	}
	b.ReportMetric(s.Stats().Share, "refused/op")
}

// stuck is a source that is always late.
type stuck struct{}

func (stuck) Overdue() time.Duration { return time.Second }

// writer keeps nothing but the header.
type writer http.Header

func (w writer) Header() http.Header         { return http.Header(w) }
func (w writer) Write(b []byte) (int, error) { return len(b), nil }
func (w writer) WriteHeader(int)             {}
