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

// output is what a server writes to its standard error.
type output struct {
	copied sync.WaitGroup

	mu    sync.Mutex // guards the following
	more  sync.Cond  // of mu; tells of another line, and of the end
	text  strings.Builder
	ended bool
}

// newOutput reads r to its end in the background.
func newOutput(r io.Reader) *output {
	o := &output{}
	o.more.L = &o.mu
	o.copied.Go(func() {
		lines := bufio.NewScanner(r)
		for more := true; more; {
			more = lines.Scan()
			o.mu.Lock()
			o.text.WriteString(lines.Text() + "\n")
			o.ended = !more
			o.more.Broadcast()
			o.mu.Unlock()
		}
	})
	return o
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await waits until the server has written what matches line, and returns the submatches.
func (o *output) await(t *testing.T, line *regexp.Regexp) []string {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		if m := line.FindStringSubmatch(o.text.String()); m != nil {
			return m
		}
		require.False(t, o.ended, "there is no %q in\n%s", line, o.text.String())
		o.more.Wait()
	}
}

var (
	servingLine  = regexp.MustCompile(`msg=serving url=(\S+) debug=(\S+)`)
	stoppingLine = regexp.MustCompile(`msg="shutdown: stopping"`)
)

// server is one that runs in the process of the test.
type server struct {
	*output
	*http.Client
	cancel     context.CancelFunc
	ended      chan error
	url, debug string
}

// startServer runs a server on ports of its own until the test ends, or until stop is called. Its requests have more time
// than usual, since the race detector makes SQLite about fifty times slower.
func startServer(t *testing.T, c search.Config) *server {
	t.Helper()
	c.Addr, c.Debug, c.Budget = "127.0.0.1:0", "127.0.0.1:0", time.Minute
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	transport := &http.Transport{}
	s := &server{output: newOutput(r), Client: &http.Client{Transport: transport}, cancel: cancel, ended: make(chan error, 1)}
	go func() {
		s.ended <- search.Serve(ctx, c, w)
		w.CloseWithError(io.EOF)
	}()
	t.Cleanup(func() {
		cancel()
		s.copied.Wait()
		transport.CloseIdleConnections()
	})
	m := s.await(t, servingLine)
	s.url, s.debug = m[1], m[2]
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
