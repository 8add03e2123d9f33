package observe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/taskgroup"
)

// crowd has n tasks alive in so many groups until the test is over.
func crowd(tb testing.TB, o *observe.Observer, n, groups int) {
	tb.Helper()
	ctx, cancel := context.WithCancel(o.Context(context.WithoutCancel(tb.Context())))
	all := make([]*taskgroup.Group, groups)
	var started sync.WaitGroup
	started.Add(n)
	for i := range all {
		all[i] = taskgroup.New(ctx, taskgroup.Name("crowd"))
		for range n / groups {
			all[i].Go(func(ctx context.Context) error {
				started.Done()
				<-ctx.Done()
				return nil
			})
		}
	}
	started.Wait()
	tb.Cleanup(func() {
		cancel()
		for _, g := range all {
			g.Stop() //nolint:errcheck // it was canceled
		}
	})
}

// formats are what the page is asked for.
var formats = []string{"text", "json", "html"}

func request(tb testing.TB, format string) *http.Request {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/debug/grove?format="+format, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
	return r
}

func TestThePageOfAHundredThousandTasksIsShort(t *testing.T) {
	for groups, tasks := range map[int]int{1: 100_000, 10_000: 20_000} {
		t.Run("groups="+strconv.Itoa(groups), func(t *testing.T) {
			o, _ := newObserver(t, observe.Config{})
			crowd(t, o, tasks, groups)
			var before, after runtime.MemStats
			for _, format := range formats {
				w := httptest.NewRecorder()
				runtime.ReadMemStats(&before)
				o.Handler().ServeHTTP(w, request(t, format))
				runtime.ReadMemStats(&after)
				require.Equal(t, http.StatusOK, w.Code)
				require.Less(t, w.Body.Len(), 256<<10)
				require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
			}
			st := look(t, observeLocally{o})
			require.Equal(t, groups, st.Groups.Live)
			require.Equal(t, min(groups, 200), st.Groups.Shown)
			require.Equal(t, tasks/groups, st.Groups.Trees[0].Tasks[0].Count)
		})
	}
}

// observeLocally is an Observer whose page is asked from the machine itself.
type observeLocally struct{ *observe.Observer }

func (o observeLocally) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
		o.Observer.Handler().ServeHTTP(w, r)
	})
}

// BenchmarkPage is a look at the page while there are many tasks.
func BenchmarkPage(b *testing.B) {
	for _, tasks := range []int{100, 100_000} {
		for _, groups := range []int{1, 10_000} {
			if groups > tasks {
				continue
			}
			o, err := observe.New(observe.Config{})
			require.NoError(b, err)
			crowd(b, o, tasks, groups)
			for _, format := range formats {
				b.Run("tasks="+strconv.Itoa(tasks)+"/groups="+strconv.Itoa(groups)+"/"+format, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						o.Handler().ServeHTTP(httptest.NewRecorder(), request(b, format))
					}
				})
			}
		}
	}
}

// brokenWriter is the connection of a client that has gone.
type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestAClientThatHasGoneIsNobodysProblem(t *testing.T) {
	o, log := newObserver(t, observe.Config{})
	world(t, o)
	for _, format := range append(formats, "stream") {
		o.Handler().ServeHTTP(brokenWriter{httptest.NewRecorder()}, request(t, format))
	}
	for _, r := range log.records(t) {
		require.Equal(t, "task failed", r["msg"], "of the world")
	}
}

func TestClientsThatAreKilledOrDoNotReadHoldNothingUp(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	var groups atomic.Int64
	ctx, cancel := context.WithCancel(o.Context(t.Context()))
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			g := taskgroup.New(ctx, taskgroup.Name("work"))
			g.Go(func(context.Context) error { return nil })
			if g.Wait() == nil {
				groups.Add(1)
			}
		}
	})
	s := newSite(t, o)
	for i := range 40 {
		asking, stop := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(asking, http.MethodGet, s.URL, nil)
		require.NoError(t, err)
		if i%2 == 0 {
			req.Header.Set("Accept", "text/event-stream")
		}
		resp, err := s.Client().Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, io.LimitReader(iotest.OneByteReader(resp.Body), 10))
		require.NoError(t, err)
		stop()            // the connection breaks in the middle of the answer
		resp.Body.Close() //nolint:errcheck // it is broken
	}
	before := groups.Load()
	require.Eventually(t, func() bool { return groups.Load() > before+100 }, 10*time.Second, time.Millisecond)
	cancel()
	work.Wait()
	require.Contains(t, s.get("*/*"), "GROUPS")
	require.False(t, bytes.Contains([]byte(s.get("*/*")), []byte("Too many")), "the streams have ended")
}

func TestAHundredBrowsersThatDoNotReadHoldNothingUp(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	s := newSite(t, o)
	var conns []net.Conn
	accepted := 0
	for range 100 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
		require.NoError(t, err)
		conns = append(conns, conn)
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
		require.NoError(t, err)
		status := make([]byte, len("HTTP/1.1 200"))
		_, err = io.ReadFull(conn, status) // and no more
		require.NoError(t, err)
		if bytes.HasSuffix(status, []byte("200")) {
			accepted++
		}
	}
	require.Equal(t, 16, accepted)
	require.Contains(t, s.get("*/*"), "GROUPS")
	for _, conn := range conns { // they are killed: what was sent to them is not read any more
		require.NoError(t, conn.Close())
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/event-stream")
		resp, err := s.Client().Do(req)
		require.NoError(t, err)
		cancel()
		resp.Body.Close() //nolint:errcheck // it was canceled
		if resp.StatusCode == http.StatusOK {
			return // there is room again
		}
		<-ticker.C
	}
}

func TestTasksWithNamesOfTheirOwnDoNotFillThePage(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	g := taskgroup.New(o.Context(t.Context()))
	for i := range 10_000 {
		g.Start(taskgroup.Task{Name: "user-" + strconv.Itoa(i), Func: untilDone})
	}
	s := newSite(t, o)
	st := s.waitFor(func(st state) bool { return st.Groups.Trees[0].Running == 10_000 })
	require.Len(t, st.Groups.Trees[0].Tasks, 20)
	require.Equal(t, 9980, st.Groups.Trees[0].More)
	require.NoError(t, g.Stop())
}
