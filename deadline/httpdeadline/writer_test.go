package httpdeadline_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline/httpdeadline"
)

// stuck is a body of which nothing comes before its context ends.
type stuck struct{ ctx context.Context }

func (s stuck) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, context.Cause(s.ctx)
}

func TestHandlerAnswersForAHandlerThatHadNothingToCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed, empty error
		requireExpired(t, serve(t, httpdeadline.Policy{}, func(w http.ResponseWriter, r *http.Request) {
			_, failed = io.Copy(w, stuck{r.Context()})
			_, empty = io.Copy(w, io.LimitReader(strings.NewReader("none of it"), 0))
		}, "Request-Timeout-Ms", "200"))
		require.ErrorIs(t, failed, context.DeadlineExceeded)
		require.NoError(t, empty)
	})
}

// gone is a writer whose client has hung up.
type gone struct {
	http.ResponseWriter
	codes []int
}

func (g *gone) Write([]byte) (int, error) { return 0, net.ErrClosed }

func (g *gone) WriteHeader(code int) { g.codes = append(g.codes, code) }

func TestHandlerDoesNotAnswerAfterAFailedCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gone{ResponseWriter: httptest.NewRecorder()}
		var err error
		httpdeadline.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			_, err = io.Copy(w, io.LimitReader(strings.NewReader("late"), 4))
		}), httpdeadline.Policy{}).ServeHTTP(w, newRequest(t, "/", "Request-Timeout-Ms", "200"))
		require.ErrorIs(t, err, net.ErrClosed)
		require.Empty(t, w.codes)
	})
}

func TestHandlerCopiesABodyOfAnyLength(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, 100_000} {
		body := strings.Repeat("<p>", n)[:n]
		var copied int64
		var errs []error
		got := serve(t, httpdeadline.Policy{}, func(w http.ResponseWriter, r *http.Request) {
			for range 2 { // what begins an answer and what goes on with it
				m, err := io.Copy(w, io.LimitReader(strings.NewReader(body), int64(n)))
				copied, errs = copied+m, append(errs, err)
			}
		}, "Request-Timeout-Ms", "100000")
		require.Equal(t, []error{nil, nil}, errs)
		require.Equal(t, int64(2*n), copied)
		require.Equal(t, body+body, got.body)
		if n > 2 {
			require.Equal(t, "text/html; charset=utf-8", got.header.Get("Content-Type"))
		}
	}
}

// sink is a connection that tells what it is given to read itself, as the kernel does with a file.
type sink struct {
	net.Conn
	given chan<- io.Reader
}

func (s sink) ReadFrom(r io.Reader) (int64, error) {
	s.given <- r
	return io.Copy(s.Conn, r)
}

// sinks is a listener whose connections are sinks.
type sinks struct {
	net.Listener
	given chan<- io.Reader
}

func (s sinks) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	return sink{conn, s.given}, err
}

func TestHandlerLetsTheConnectionReadAFile(t *testing.T) {
	body := strings.Repeat("<p>", 1000)
	name := filepath.Join(t.TempDir(), "page.html")
	require.NoError(t, os.WriteFile(name, []byte(body), 0o600))
	given := make(chan io.Reader, 1)
	s := httptest.NewUnstartedServer(httpdeadline.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, name)
	}), httpdeadline.Policy{Max: time.Minute}))
	s.Listener = sinks{s.Listener, given}
	s.Start()
	t.Cleanup(s.Close)
	require.Equal(t, body, get(t, s.URL).body)
	require.Len(t, given, 1)
	limited, ok := (<-given).(*io.LimitedReader)
	require.True(t, ok)
	require.IsType(t, &os.File{}, limited.R)
}

// wrapped is a writer of a middleware, which only a ResponseController sees through.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestHandlerNoticesAHijackThroughAMiddleware(t *testing.T) {
	failed, served := make(chan error, 1), make(chan struct{})
	h := httpdeadline.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		conn, _, err := http.NewResponseController(w).Hijack()
		failed <- respond(conn, err)
	}), httpdeadline.Policy{})
	url := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(wrapped{w}, r)
		close(served)
	}))
	require.Equal(t, http.StatusNoContent, get(t, url, "Request-Timeout-Ms", "1").code)
	require.NoError(t, <-failed)
	<-served
}
