package observe_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/taskgroup"
)

// serve serves one request with h behind Recover, over a real connection.
func serve(t *testing.T, h http.HandlerFunc) (status int, body string, log *journal, err error) {
	t.Helper()
	o, log := newObserver(t, observe.Config{})
	server := httptest.NewServer(o.Recover(h))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/search", nil)
	require.NoError(t, err)
	resp, err := server.Client().Do(req)
	if err != nil {
		return 0, "", log, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), log, err
}

func inGroup(f func(context.Context) error) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		taskgroup.Run(r.Context(), func(_ context.Context, g *taskgroup.Group) error { //nolint:errcheck // it panics
			g.Go(f)
			return nil
		})
	}
}

func TestAPanicIsA500WithOneRecord(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		text    string
	}{
		"handler": {func(_ http.ResponseWriter, r *http.Request) { _ = explodes(r.Context()) }, "panic in a handler"},
		"task":    {inGroup(explodes), "panic in a task"},
		"task below": {inGroup(func(ctx context.Context) error {
			return nested(ctx, explodes, asItIs)
		}), "panic in a task"},
		"body": {func(_ http.ResponseWriter, r *http.Request) {
			taskgroup.Run(r.Context(), func(ctx context.Context, _ *taskgroup.Group) error { return explodes(ctx) }) //nolint:errcheck // it panics
		}, "panic in a handler"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			status, body, log, err := serve(t, c.handler)
			require.NoError(t, err)
			require.Equal(t, http.StatusInternalServerError, status)
			require.NotContains(t, body, "boom")
			r := log.only(t)
			require.Equal(t, c.text, r["msg"])
			require.Equal(t, "boom", r["panic"])
			require.Contains(t, r["stack"], "observe_test.explodes(")
		})
	}
}

func TestAnAnswerThatHasBegunIsBrokenOff(t *testing.T) {
	for name, begin := range map[string]func(w http.ResponseWriter){
		"header": func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK); w.(http.Flusher).Flush() },
		"body":   func(w http.ResponseWriter) { io.WriteString(w, strings.Repeat("x", 1<<16)) }, //nolint:errcheck // it panics
		"copy":   func(w http.ResponseWriter) { io.Copy(w, strings.NewReader(strings.Repeat("x", 1<<16))) },
		"flush":  func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			_, body, log, err := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				begin(w)
				panic("boom")
			})
			require.Error(t, err)
			require.NotContains(t, body, "Internal Server Error")
			log.only(t)
		})
	}
}

func TestAnAnnouncementIsNoAnswerYet(t *testing.T) {
	status, _, _, err := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		panic("boom")
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, status)
}

func TestErrAbortHandlerPasses(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"handler": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"task":    inGroup(func(context.Context) error { panic(http.ErrAbortHandler) }),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, log, err := serve(t, h)
			require.ErrorIs(t, err, io.EOF)
			require.Empty(t, log.records(t))
		})
	}
}

func TestAHandlerBehindRecoverCanHijack(t *testing.T) {
	status, body, _, err := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()                                                                          //nolint:errcheck // the test sees it
		rw.WriteString("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok") //nolint:errcheck // likewise
		rw.Flush()                                                                                  //nolint:errcheck // likewise
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, "ok", body)
}

func TestWhatCannotBeHijackedSaysSo(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	var conn net.Conn
	err := errDown
	o.Recover(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err = w.(http.Hijacker).Hijack()
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	require.ErrorIs(t, err, http.ErrNotSupported)
	require.Nil(t, conn)
}

func TestContextIsDerivedOnce(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	other, _ := newObserver(t, observe.Config{})
	ctx := o.Context(t.Context())
	require.Equal(t, ctx, o.Context(ctx))
	require.NotEqual(t, ctx, other.Context(ctx))
}
