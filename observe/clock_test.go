package observe_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/looplag/shed"
	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/shutdown"
	"github.com/grove-go/grove/taskgroup"
)

// inBubble runs f with an Observer whose clock ticks.
func inBubble(t *testing.T, f func(t *testing.T, o *observe.Observer, log *journal)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o, log := newObserver(t, observe.Config{Allow: func(*http.Request) bool { return true }})
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- o.Run(ctx) }()
		f(t, o, log)
		cancel()
		require.NoError(t, <-over)
	})
}

// look returns what the page tells.
func look(t *testing.T, o interface{ Handler() http.Handler }) (st state) {
	t.Helper()
	w := httptest.NewRecorder()
	o.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?format=json", nil))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &st))
	return st
}

// pageText is the page for a terminal.
func pageText(t *testing.T, o *observe.Observer) string {
	t.Helper()
	w := httptest.NewRecorder()
	o.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	return w.Body.String()
}

// fixed is a limit that never changes.
type fixed int

func (f fixed) Next(executor.Sample) float64 { return float64(f) }

// codes are those of the lints on the page.
func codes(t *testing.T, o *observe.Observer) (all []string) {
	t.Helper()
	for _, l := range look(t, o).Lints {
		all = append(all, l.Code+" "+l.About)
	}
	return all
}

// stays is a task that takes no notice of its context.
func stays(d time.Duration) func(context.Context) error {
	return func(context.Context) error {
		time.Sleep(d)
		return nil
	}
}

func TestLintOfAGroupThatRunsOnAfterItsCancellation(t *testing.T) {
	inBubble(t, func(t *testing.T, o *observe.Observer, log *journal) {
		ctx := o.Context(t.Context())
		g := taskgroup.New(ctx, taskgroup.Name("import"))
		g.Start(taskgroup.Task{Name: "parse", Func: stays(10 * time.Second)})
		twin := taskgroup.New(ctx, taskgroup.Name("import"))
		twin.Go(stays(5 * time.Second))
		time.Sleep(1500 * time.Millisecond)
		require.Empty(t, codes(t, o))
		g.Cancel(nil)
		twin.Cancel(nil)
		time.Sleep(time.Second)
		require.Empty(t, codes(t, o))
		time.Sleep(time.Second)
		require.Equal(t, []string{"canceled_running import"}, codes(t, o), "once for all groups of a name")
		require.Equal(t, "import was canceled 1.5s ago and 1 of its tasks still run: parse", look(t, o).Lints[0].Text)
		time.Sleep(time.Second)
		r := log.only(t)
		require.Equal(t, "lint", r["msg"])
		require.Equal(t, "canceled_running", r["lint"])
		require.NoError(t, g.Wait())
		require.NoError(t, twin.Wait())
		time.Sleep(2 * time.Second)
		require.Empty(t, codes(t, o), "it is over")
	})
}

func TestLintOfAGroupThatRunsOnPastItsDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, o *observe.Observer, _ *journal) {
		// A context that has a deadline and takes no notice of it.
		ctx := late{o.Context(t.Context()), time.Now().Add(time.Second)}
		g := taskgroup.New(ctx, taskgroup.Name("slow"))
		g.Go(stays(5 * time.Second))
		time.Sleep(3500 * time.Millisecond)
		require.Equal(t, []string{"past_deadline slow"}, codes(t, o))
		require.NoError(t, g.Wait())
	})
}

// late is a context whose deadline ends nothing.
type late struct {
	context.Context
	deadline time.Time
}

func (l late) Deadline() (time.Time, bool) { return l.deadline, true }

func TestLintsOfAnExecutorThatIsFullAndHasAbandonedCalls(t *testing.T) {
	inBubble(t, func(t *testing.T, o *observe.Observer, _ *journal) {
		pool, err := executor.New(executor.Config{Name: "db", Workers: 1, Queue: 1})
		require.NoError(t, err)
		o.Executor(pool)
		ctx, cancel := context.WithTimeout(t.Context(), 13*time.Second)
		defer cancel()
		for range 2 {
			executor.Submit(ctx, pool, func(context.Context) (int, error) { return 0, stays(15 * time.Second)(ctx) })
		}
		time.Sleep(9500 * time.Millisecond)
		require.Empty(t, codes(t, o))
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"executor_full db"}, codes(t, o))
		time.Sleep(3 * time.Second)
		require.Equal(t, []string{"abandoned db"}, codes(t, o))
		require.Equal(t, 1, look(t, o).Executors[0].Abandoned)
		time.Sleep(3 * time.Second)
		require.Empty(t, codes(t, o))
		require.Equal(t, map[string]int{"abandoned": 1}, look(t, o).Executors[0].Ended)
		require.Equal(t, map[string]int{"deadline": 1}, look(t, o).Executors[0].Refused)
		require.NoError(t, pool.Close())
	})
}

func TestACallThatIsStuckIsLoggedOnceAndShown(t *testing.T) {
	inBubble(t, func(t *testing.T, o *observe.Observer, log *journal) {
		pool, err := executor.New(executor.Config{Name: "db", Workers: 1, StuckAfter: time.Second})
		require.NoError(t, err)
		o.Executor(pool)
		f := executor.Submit(t.Context(), pool, func(ctx context.Context) (int, error) { return 0, stays(10 * time.Second)(ctx) },
			executor.Name("query"))
		time.Sleep(5500 * time.Millisecond)
		require.Equal(t, []string{"stuck db"}, codes(t, o))
		var told []record
		for _, r := range log.records(t) {
			if r["msg"] == "call stuck" {
				told = append(told, r)
			}
		}
		require.Len(t, told, 1)
		require.Equal(t, "db", told[0]["executor"])
		require.Equal(t, "query", told[0]["call"])
		require.Contains(t, told[0]["stack"], "TestACallThatIsStuckIsLoggedOnceAndShown")
		_, err = f.Await(t.Context())
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		require.Empty(t, codes(t, o))
		require.NoError(t, pool.Close())
	})
}

func TestAPoolIsFullWhenItsLimiterSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, o *observe.Observer, _ *journal) {
		pool, err := executor.New(executor.Config{Name: "db", Workers: 8, Queue: 1, Limiter: fixed(1)})
		require.NoError(t, err)
		o.Executor(pool)
		_, err = executor.Do(t.Context(), pool, func(context.Context) (int, error) { return 0, nil }) // after which it is asked
		require.NoError(t, err)
		for range 2 {
			executor.Submit(t.Context(), pool, func(ctx context.Context) (int, error) { return 0, stays(20 * time.Second)(ctx) })
		}
		time.Sleep(12 * time.Second)
		require.Equal(t, []string{"executor_full db"}, codes(t, o))
		time.Sleep(time.Minute)
		require.NoError(t, pool.Close())
	})
}

// lateness is a source of a shed.Shedder.
type lateness time.Duration

func (l lateness) Overdue() time.Duration { return time.Duration(l) }

func TestSheddingIsShownAndALint(t *testing.T) {
	inBubble(t, func(t *testing.T, o *observe.Observer, _ *journal) {
		s := shed.New(lateness(time.Second), shed.Policy{})
		o.Shedder(s)
		require.Contains(t, pageText(t, o), "SHEDDING\n  nothing is refused; so far 0 were admitted and 0 refused\n")
		admitted := 0
		for range 3000 {
			if s.Allow(shed.Normal) {
				admitted++
			}
			time.Sleep(time.Millisecond)
		}
		require.Equal(t, []string{"shedding "}, codes(t, o))
		require.Contains(t, pageText(t, o), fmt.Sprintf("of the requests below critical are refused: they would wait for 1s; "+
			"so far %d were admitted and %d refused\n", admitted, 3000-admitted))
		time.Sleep(10 * time.Second) // without requests it goes to sleep
		require.Empty(t, codes(t, o))
	})
}

func TestThePageComesWhileTheLogIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		o, err := observe.New(observe.Config{
			Allow:  func(*http.Request) bool { return true },
			Logger: slog.New(stuckLog{slog.DiscardHandler, release}),
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- o.Run(ctx) }()
		g := taskgroup.New(o.Context(t.Context()), taskgroup.Name("import"))
		g.Go(stays(time.Minute))
		synctest.Wait()
		g.Cancel(nil)
		time.Sleep(5 * time.Second) // the log is told of the lint
		require.Equal(t, []string{"canceled_running import"}, codes(t, o))
		other := taskgroup.New(o.Context(t.Context()), taskgroup.Name("export"))
		other.Go(stays(time.Minute))
		synctest.Wait()
		other.Cancel(nil)
		time.Sleep(5 * time.Second)
		require.Equal(t, []string{"canceled_running import", "canceled_running export"}, codes(t, o))
		close(release)
		cancel()
		require.NoError(t, <-over)
		require.NoError(t, g.Wait())
		require.NoError(t, other.Wait())
	})
}

// stuckLog writes to what does not take it until release.
type stuckLog struct {
	slog.Handler
	release chan struct{}
}

func (stuckLog) Enabled(context.Context, slog.Level) bool    { return true }
func (l stuckLog) Handle(context.Context, slog.Record) error { <-l.release; return nil }

func TestALintThatThePageFindsFirstIsLoggedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, o *observe.Observer, log *journal) {
		g := taskgroup.New(o.Context(t.Context()), taskgroup.Name("import"))
		g.Go(stays(10 * time.Second))
		synctest.Wait()
		g.Cancel(nil)
		for range 500 { // the page is what makes the clock tick, nearly always
			codes(t, o)
			time.Sleep(10 * time.Millisecond)
		}
		require.Equal(t, "canceled_running", log.only(t)["lint"])
		require.NoError(t, g.Wait())
	})
}

func TestTheTimeToStopEndsWithTheLastTask(t *testing.T) {
	inBubble(t, func(t *testing.T, o *observe.Observer, _ *journal) {
		g := taskgroup.New(o.Context(t.Context()), taskgroup.Name("import"))
		g.Go(stays(3 * time.Second))
		g.Go(untilDone)
		time.Sleep(time.Second)
		synctest.Wait()
		g.Cancel(nil)
		time.Sleep(time.Minute) // its owner comes late
		require.NoError(t, g.Wait())
		idle := taskgroup.New(o.Context(t.Context()), taskgroup.Name("idle"))
		idle.Go(stays(time.Second))
		time.Sleep(time.Minute)
		require.NoError(t, idle.Stop()) // when nothing runs any more
		ended := look(t, o).Ended
		require.Equal(t, "idle", ended[0].Name)
		require.Zero(t, ended[0].Stopping)
		require.Equal(t, "import", ended[1].Name)
		require.InDelta(t, 2, ended[1].Stopping, 1e-9)
	})
}

func TestTrackedWorkThatAStopWaitsForIsShown(t *testing.T) {
	inBubble(t, func(t *testing.T, o *observe.Observer, _ *journal) {
		app, err := shutdown.New(shutdown.Config{Signals: []os.Signal{}, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		o.App(app)
		ready := make(chan struct{})
		app.Add(shutdown.Component{Name: "db\x1b[2J", Start: func(context.Context) error { close(ready); return nil }, Stop: stays(time.Second)})
		over := make(chan error)
		go func() { over <- app.Run(t.Context()) }()
		<-ready
		synctest.Wait()
		var dones []func()
		for i := range 30 {
			done, err := app.Track(t.Context(), []string{"websocket", "upload " + strconv.Itoa(i)}[i%2])
			require.NoError(t, err)
			dones = append(dones, done)
		}
		app.Shutdown(nil)
		time.Sleep(3 * time.Second)
		text := pageText(t, o)
		require.Contains(t, text, "waits for websocket ×15, oldest 3s\n")
		require.NotContains(t, text, "\x1b")
		for _, done := range dones {
			done()
		}
		require.NoError(t, <-over)
		require.NotContains(t, pageText(t, o), "waits for")
	})
}

func TestBreachesAndStuckLoopsAreShownAndLogged(t *testing.T) {
	inBubble(t, func(t *testing.T, o *observe.Observer, log *journal) {
		probe := looplag.New(looplag.Config{Pipe: func() (io.ReadCloser, io.WriteCloser, error) {
			r, w := io.Pipe()
			return r, w, nil
		}})
		o.Probe(probe)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- probe.Run(ctx) }()
		loop := probe.Watch("hub", 50*time.Millisecond)
		loop.Begin()
		time.Sleep(1500 * time.Millisecond)
		require.Contains(t, codes(t, o), "loop_busy hub")
		loop.End()
		time.Sleep(time.Second)
		require.Empty(t, codes(t, o))
		reported := false
		for _, r := range log.records(t) {
			reported = reported || r["msg"] == "late" && r["loop"] == "hub"
		}
		require.True(t, reported, log.records(t))
		loop.Close()
		cancel()
		require.ErrorIs(t, <-over, context.Canceled)
	})
}

func TestCurvesAreKeptWhileNobodyLooks(t *testing.T) {
	inBubble(t, func(t *testing.T, o *observe.Observer, _ *journal) {
		o.Probe(looplag.New(looplag.Config{}))
		time.Sleep(30500 * time.Millisecond)
		require.Len(t, look(t, o).Lag.Curves[0].Values, 30)
		time.Sleep(2 * time.Minute)
		require.Len(t, look(t, o).Lag.Curves[0].Values, 60)
	})
}

func TestTheLastHundredGroupsAreRemembered(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	for i := range 250 {
		f := fails
		if i >= 60 {
			f = func(context.Context) error { return nil }
		}
		g := taskgroup.New(o.Context(t.Context()), taskgroup.Name("job"))
		g.Go(f)
		g.Wait() //nolint:errcheck // it is remembered
	}
	st := newSite(t, o).state()
	require.Len(t, st.Ended, 100)
	require.Equal(t, "ok", st.Ended[0].Outcome)
	require.Len(t, st.Failed, 60, "they are remembered for longer")
}
