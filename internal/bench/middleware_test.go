package bench_test

import (
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/bench"
)

// serve has next answer the request that is measured.
func serve(t *testing.T, m bench.Middleware, limit time.Duration, next http.HandlerFunc) *httptest.ResponseRecorder {
	t.Helper()
	r, err := bench.NewRequest(t.Context())
	require.NoError(t, err)
	w := httptest.NewRecorder()
	m(next, limit).ServeHTTP(w, r)
	return w
}

// eachMiddleware runs f in a bubble for each implementation of the middleware.
func eachMiddleware(t *testing.T, f func(t *testing.T, m bench.Middleware)) {
	t.Helper()
	for _, p := range bench.Middlewares() {
		t.Run(p.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, p.Do) })
		})
	}
}

func TestEveryMiddlewarePassesOnAnAnswerInTime(t *testing.T) {
	eachMiddleware(t, func(t *testing.T, m bench.Middleware) {
		var left time.Duration
		w := serve(t, m, 20*time.Second, func(w http.ResponseWriter, r *http.Request) {
			until, _ := r.Context().Deadline()
			left = time.Until(until)
			time.Sleep(20*time.Second - 1)
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "made")
		})
		require.Equal(t, 20*time.Second, left)
		require.Equal(t, http.StatusCreated, w.Code)
		require.Equal(t, http.Header{"Content-Type": {"text/plain"}}, w.Header())
		require.Equal(t, "made", w.Body.String())
	})
}

func TestEveryMiddlewareEndsTheContextAndAnswersForAHandlerThatDidNot(t *testing.T) {
	eachMiddleware(t, func(t *testing.T, m bench.Middleware) {
		start, ended := time.Now(), make(chan error, 1)
		w := serve(t, m, time.Second, func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			ended <- r.Context().Err()
		})
		require.Equal(t, time.Second, time.Since(start))
		require.Equal(t, context.DeadlineExceeded, <-ended)
		require.GreaterOrEqual(t, w.Code, http.StatusInternalServerError)
	})
}

func TestEveryMiddlewareLetsPanicsThrough(t *testing.T) {
	eachMiddleware(t, func(t *testing.T, m bench.Middleware) {
		require.PanicsWithValue(t, http.ErrAbortHandler, func() {
			serve(t, m, time.Second, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		})
	})
}

func TestGroveAllocatesLessThanTimeoutHandler(t *testing.T) {
	r, err := bench.NewRequest(t.Context())
	require.NoError(t, err)
	allocs := make(map[string]float64)
	for _, p := range bench.Middlewares() {
		h := p.Do(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "made") }), time.Hour)
		w := httptest.NewRecorder()
		allocs[p.Name] = testing.AllocsPerRun(100, func() {
			w.Body.Reset()
			h.ServeHTTP(w, r)
		})
	}
	require.Less(t, allocs[bench.Grove], allocs["TimeoutHandler"])
}

func TestTheMiddlewareIsMeasuredOverAConnection(t *testing.T) {
	benchtime := flag.Lookup("test.benchtime").Value
	before := benchtime.String()
	require.NoError(t, benchtime.Set("10x"))
	defer func() { require.NoError(t, benchtime.Set(before)) }()
	measured := 0
	for _, c := range bench.Cases() {
		if strings.HasSuffix(c.Name, "/way=loopback") {
			for _, impl := range c.Impls {
				require.Equal(t, 10, testing.Benchmark(impl.Bench).N, impl.Name)
				measured++
			}
		}
	}
	require.Equal(t, 2*len(bench.Middlewares()), measured)
}
