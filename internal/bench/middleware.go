package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/grove-go/grove/deadline/httpdeadline"
)

// A Middleware returns a handler that gives requests so much time: the contexts that next gets end then, and there is an
// answer of status 5xx if next has not given one. What next answers in time is passed on.
type Middleware func(next http.Handler, d time.Duration) http.Handler

// middlewares are Grove's, which waits for next and passes on what that writes at once, and the standard library's, which
// leaves next behind and holds back what it writes until it has returned.
func middlewares() []peer[Middleware] {
	return []peer[Middleware]{
		{Grove, groveMiddleware},
		{"TimeoutHandler", timeoutHandler},
	}
}

func groveMiddleware(next http.Handler, d time.Duration) http.Handler {
	return httpdeadline.Handler(next, httpdeadline.Policy{Max: d})
}

func timeoutHandler(next http.Handler, d time.Duration) http.Handler {
	return http.TimeoutHandler(next, d, "")
}

// requestLimit is how long requests are given. They also ask for it, which makes Grove read a header to the same end.
const requestLimit = 20 * time.Second

// middlewareCases are requests that are answered at once, to a writer that costs nothing and over a connection.
func middlewareCases() []Case {
	var cases []Case
	for _, size := range []int{64, 64 << 10} {
		body := make([]byte, size)
		next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = w.Write(body)
		})
		for _, way := range []struct {
			name  string
			bench func(*testing.B, http.Handler)
		}{{"call", benchCalls}, {"loopback", benchConnection}} {
			cases = append(cases, Case{
				Name: fmt.Sprintf("middleware/body=%d/way=%s", size, way.name),
				Impls: measure(middlewares(), func(b *testing.B, m Middleware) {
					b.ReportAllocs()
					way.bench(b, m(next, requestLimit))
				}),
				Targets: []Target{{"TimeoutHandler", 0.99}},
			})
		}
	}
	return cases
}

func newRequest(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1/", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Request-Timeout-Ms", strconv.FormatInt(requestLimit.Milliseconds(), 10))
	return r, nil
}

// sink is a ResponseWriter that costs nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}

func benchCalls(b *testing.B, h http.Handler) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := newRequest(ctx)
	if err != nil {
		b.Fatal(err)
	}
	w := &sink{make(http.Header)}
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// benchConnection sends requests one after the other over one connection, without an http.Client, which would cost more
// than what is measured.
func benchConnection(b *testing.B, h http.Handler) {
	ctx := context.Background()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	defer func() {
		_ = server.Close()
		<-served
	}()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	r, err := newRequest(ctx)
	if err != nil {
		b.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	for b.Loop() {
		if err := roundTrip(conn, answers, r); err != nil {
			b.Fatal(err)
		}
	}
}

func roundTrip(conn io.Writer, answers *bufio.Reader, r *http.Request) error {
	if err := r.Write(conn); err != nil {
		return err
	}
	res, err := http.ReadResponse(answers, r)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("bench: answered %s", res.Status)
	}
	return res.Body.Close()
}
