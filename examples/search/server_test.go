package main_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	search "github.com/grove-go/grove/examples/search"
)

// output is what a server writes to its standard error. It tells when the server serves.
type output struct {
	serving chan struct{} // closed when the server serves, or cannot
	copied  sync.WaitGroup

	mu         sync.Mutex
	text       strings.Builder // guarded by mu
	url, debug string          // set before serving is closed
}

var servingLine = regexp.MustCompile(`msg=serving url=(\S+) debug=(\S+)`)

// newOutput reads r to its end in the background.
func newOutput(r io.Reader) *output {
	o := &output{serving: make(chan struct{})}
	o.copied.Go(func() {
		announced := false
		for lines := bufio.NewScanner(r); lines.Scan(); {
			o.mu.Lock()
			o.text.WriteString(lines.Text() + "\n")
			o.mu.Unlock()
			if m := servingLine.FindStringSubmatch(lines.Text()); m != nil {
				o.url, o.debug = m[1], m[2]
				announced = true
				close(o.serving)
			}
		}
		if !announced {
			close(o.serving)
		}
	})
	return o
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// server is one that runs in the process of the test.
type server struct {
	*output
	*http.Client
	cancel context.CancelFunc
	ended  chan error
}

// startServer runs a server on ports of its own until the test ends, or until stop is called. Its requests have more time
// than usual, since the race detector makes SQLite about fifty times slower.
func startServer(t *testing.T, c search.Config) *server {
	t.Helper()
	c.Addr, c.Debug, c.Budget = "127.0.0.1:0", "127.0.0.1:0", time.Minute
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	transport := &http.Transport{}
	s := &server{newOutput(r), &http.Client{Transport: transport}, cancel, make(chan error, 1)}
	go func() {
		s.ended <- search.Serve(ctx, c, w)
		w.CloseWithError(io.EOF)
	}()
	t.Cleanup(func() {
		cancel()
		s.copied.Wait()
		transport.CloseIdleConnections()
	})
	<-s.serving
	require.NotEmpty(t, s.url, "the server does not start:\n%s", s)
	return s
}

// stop asks the server to stop and returns what it returns.
func (s *server) stop() error {
	s.cancel()
	err := <-s.ended
	s.copied.Wait()
	return err
}

func (s *server) request(t *testing.T, url string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	return s.Do(r)
}

// get returns the status, the path of the request by Server-Timing, and the body.
func (s *server) get(t *testing.T, url string) (status int, path, body string) {
	t.Helper()
	resp, err := s.request(t, url)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	path = regexp.MustCompile(`;desc=|;dur=[0-9.]+`).ReplaceAllStringFunc(resp.Header.Get("Server-Timing"), func(s string) string {
		if s == ";desc=" {
			return " "
		}
		return ""
	})
	return resp.StatusCode, path, string(b)
}
