package observe_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/observe"
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
