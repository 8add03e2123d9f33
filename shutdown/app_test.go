package shutdown_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/shutdown"
)

// world is an app in a bubble, with a journal of what its hooks did and when.
type world struct {
	*shutdown.App
	t       *testing.T
	began   time.Time
	signals chan os.Signal
	exits   chan int
	clients sync.WaitGroup // of what f starts

	mu      sync.Mutex
	journal []string
}

// inWorld runs f in a bubble. The app's signals and its Exit are the world's.
func inWorld(t *testing.T, config shutdown.Config, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, began: time.Now(), signals: make(chan os.Signal), exits: make(chan int, 1)}
		config.SignalSource = w.signals
		config.Exit = func(code int) { w.exits <- code }
		if config.Logger == nil {
			config.Logger = slog.New(slog.DiscardHandler)
		}
		app, err := shutdown.New(config)
		require.NoError(t, err)
		w.App = app
		defer w.clients.Wait()
		f(t, w)
	})
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.journal = append(w.journal, fmt.Sprintf(format, args...)+" at "+time.Since(w.began).String())
}

// component notes when it starts and stops.
func (w *world) component(name string, phase shutdown.Phase, needs ...string) shutdown.Component {
	return shutdown.Component{
		Name: name, Phase: phase, Needs: needs,
		Start: func(context.Context) error { w.note("start %s", name); return nil },
		Stop:  func(context.Context) error { w.note("stop %s", name); return nil },
	}
}

// run runs the app to its end, which it is asked for after a second.
func (w *world) run() error {
	time.AfterFunc(time.Second, func() { w.Shutdown(nil) })
	return w.Run(w.t.Context())
}

func (w *world) requireJournal(lines ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Equal(w.t, lines, w.journal)
}

// elapsed is the time since the bubble began.
func (w *world) elapsed() time.Duration { return time.Since(w.began) }

func TestNewNamesTheFieldThatIsOutOfBounds(t *testing.T) {
	for _, c := range []struct {
		config shutdown.Config
		says   string
	}{
		{shutdown.Config{Timeout: -1}, "shutdown: Timeout is -1ns, but must not be negative"},
		{shutdown.Config{Reserve: -1}, "shutdown: Reserve is -1ns, but must be between 0 and Timeout, 25s"},
		{shutdown.Config{Timeout: 1, Reserve: 1}, "shutdown: Reserve is 1ns, but must be between 0 and Timeout, 1ns"},
		{shutdown.Config{DrainDelay: -1}, "shutdown: DrainDelay is -1ns, but must be between 0 and Timeout less Reserve, 20s"},
		{shutdown.Config{DrainDelay: 20 * time.Second}, "shutdown: DrainDelay is 20s, but must be between 0 and Timeout less Reserve, 20s"},
		{shutdown.Config{ReadinessDelay: -1}, "shutdown: ReadinessDelay is -1ns, but must be between 0 and Timeout, 25s"},
		{shutdown.Config{ReadinessDelay: 26 * time.Second}, "shutdown: ReadinessDelay is 26s, but must be between 0 and Timeout, 25s"},
	} {
		_, err := shutdown.New(c.config)
		require.EqualError(t, err, c.says)
	}
	_, err := shutdown.New(shutdown.Config{Timeout: 2, DrainDelay: 1, ReadinessDelay: 2})
	require.NoError(t, err)
}

func TestComponentsStopInTheOrderOfPhasesAndStartInReverse(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(w.component("logs", shutdown.Telemetry), w.component("consumer", shutdown.Intake))
		w.Add(w.component("db", shutdown.Resources), w.component("registry", shutdown.Announce))
		w.Add(w.component("rpc", shutdown.InFlight), w.component("pool", shutdown.Work))
		require.NoError(t, w.run())
		w.requireJournal(
			"start logs at 0s", "start db at 0s", "start pool at 0s", "start rpc at 0s", "start consumer at 0s", "start registry at 0s",
			"stop registry at 1s", "stop consumer at 1s", "stop rpc at 1s", "stop pool at 1s", "stop db at 1s", "stop logs at 1s",
		)
	})
}

func TestNeedsOrderComponentsOfAPhase(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(w.component("index", 0, "db", "cache"), w.component("db", 0, "disk"), w.component("cache", 0, "db"), w.component("disk", 0))
		require.NoError(t, w.run())
		w.requireJournal(
			"start disk at 0s", "start db at 0s", "start cache at 0s", "start index at 0s",
			"stop index at 1s", "stop cache at 1s", "stop db at 1s", "stop disk at 1s",
		)
	})
}

func TestComponentsOfAPhaseThatDoNotNeedEachOtherStartAndStopTogether(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		minute := func(context.Context) error { time.Sleep(10 * time.Second); return nil }
		w.Add(
			shutdown.Component{Name: "a", Start: minute, Stop: minute},
			shutdown.Component{Name: "b", Start: minute, Stop: minute},
		)
		go func() {
			time.Sleep(time.Minute)
			w.Shutdown(nil)
		}()
		require.NoError(t, w.Run(t.Context()))
		require.Equal(t, 70*time.Second, w.elapsed())
		for _, s := range w.Report().Steps {
			require.Equal(t, 10*time.Second, s.Took)
		}
	})
}

func TestRunRefusesComponentsThatMakeNoSense(t *testing.T) {
	for _, c := range []struct {
		components []shutdown.Component
		says       string
	}{
		{[]shutdown.Component{{Name: "a"}, {}}, "shutdown: component 1 has no name"},
		{[]shutdown.Component{{Name: "a"}, {Name: "a"}}, `shutdown: two components have the name "a"`},
		{[]shutdown.Component{{Name: "a", Phase: 7}}, `shutdown: "a" has no phase: Phase(7)`},
		{[]shutdown.Component{{Name: "a", StartTimeout: -1}}, `shutdown: "a" has a StartTimeout of -1ns, but it must not be negative`},
		{[]shutdown.Component{{Name: "a", StopTimeout: -1}}, `shutdown: "a" has a StopTimeout of -1ns, but it must not be negative`},
		{[]shutdown.Component{{Name: "a", Needs: []string{"b"}}}, `shutdown: "a" needs "b", which does not exist`},
		{
			[]shutdown.Component{{Name: "a", Needs: []string{"b"}}, {Name: "b", Phase: shutdown.Work}},
			`shutdown: "a" (Resources) needs "b" (Work), which stops before it`,
		},
		{[]shutdown.Component{{Name: "a", Needs: []string{"a"}}}, `shutdown: components need each other: a needs a`},
		{
			[]shutdown.Component{{Name: "a", Needs: []string{"b"}}, {Name: "b", Needs: []string{"c"}}, {Name: "c", Needs: []string{"a"}}},
			`shutdown: components need each other: a needs b needs c needs a`,
		},
	} {
		inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
			for i := range c.components {
				c.components[i].Start = func(context.Context) error { w.note("start"); return nil }
			}
			w.Add(c.components...)
			err := w.Run(t.Context())
			require.EqualError(t, err, c.says)
			require.Equal(t, 1, shutdown.ExitCode(err))
			w.requireJournal()
		})
	}
}

func TestRunIsStoppedBy(t *testing.T) {
	failure := errors.New("lost the lease")
	for name, c := range map[string]struct {
		ask    func(w *world, cancel context.CancelCauseFunc)
		reason string
		cause  error
	}{
		"a signal": {
			func(w *world, _ context.CancelCauseFunc) { w.signals <- syscall.SIGTERM },
			"signal terminated", nil,
		},
		"the end of its context": {
			func(_ *world, cancel context.CancelCauseFunc) { cancel(errors.New("the parent stops")) },
			"the parent stops", nil,
		},
		"Shutdown without a cause": {
			func(w *world, _ context.CancelCauseFunc) { w.Shutdown(nil) },
			"Shutdown was called", nil,
		},
		"Shutdown with a cause": {
			func(w *world, _ context.CancelCauseFunc) { w.Shutdown(failure) },
			"Shutdown was called", failure,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				w.Add(w.component("a", 0))
				go func() {
					time.Sleep(time.Second)
					c.ask(w, cancel)
				}()
				err := w.Run(ctx)
				w.requireJournal("start a at 0s", "stop a at 1s")
				require.Equal(t, c.reason, w.Report().Reason)
				require.Equal(t, c.cause, w.Report().Cause)
				if c.cause == nil {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, c.cause)
				require.Equal(t, 1, shutdown.ExitCode(err))
			})
		})
	}
}

func TestTheFirstRequestToStopCounts(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(shutdown.Component{Name: "a", Stop: func(context.Context) error {
			w.Shutdown(errors.New("too late"))
			return nil
		}})
		require.NoError(t, w.run())
	})
}

func TestShutdownBeforeRunStartsNothing(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(w.component("a", 0))
		w.Shutdown(nil)
		require.NoError(t, w.Run(t.Context()))
		w.requireJournal()
	})
}

func TestAppStopsWhenEveryRunHasReturned(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		for i := range 3 {
			c := w.component(fmt.Sprint(i), 0)
			c.Run = func(context.Context) error { time.Sleep(time.Duration(i) * time.Second); return nil }
			w.Add(c)
		}
		w.Add(w.component("last", shutdown.Telemetry))
		require.NoError(t, w.Run(t.Context()))
		require.Equal(t, 2*time.Second, w.elapsed())
		require.Equal(t, "every Run has returned", w.Report().Reason)
		require.Equal(t, "stop last at 2s", w.journal[len(w.journal)-1])
	})
}

func TestRunThatHasReturnedBeforeTheLastStartCountsToo(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(
			shutdown.Component{Name: "quick", Run: func(context.Context) error { return nil }},
			shutdown.Component{Name: "slow", Phase: shutdown.Intake, Start: func(context.Context) error { time.Sleep(time.Second); return nil }},
		)
		require.NoError(t, w.Run(t.Context()))
		require.Equal(t, time.Second, w.elapsed())
	})
}

func TestRunThatFailsStopsTheApp(t *testing.T) {
	broken := errors.New("broken")
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		c := w.component("worker", shutdown.Work)
		c.Run = func(context.Context) error { time.Sleep(time.Second); return broken }
		w.Add(c, w.component("db", 0))
		err := w.Run(t.Context())
		require.ErrorIs(t, err, broken)
		require.EqualError(t, err, `shutdown: "worker" failed: broken`)
		require.Equal(t, 1, shutdown.ExitCode(err))
		w.requireJournal("start db at 0s", "start worker at 0s", "stop worker at 1s", "stop db at 1s")
	})
}

type key struct{}

func TestHooksHaveTheValuesOfRunsContextAndEndsOfTheirOwn(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		check := func(ctx context.Context) {
			require.Equal(t, "value", ctx.Value(key{}))
			require.NoError(t, ctx.Err())
		}
		runs := make(chan context.Context, 1)
		w.Add(shutdown.Component{
			Name:  "a",
			Start: func(ctx context.Context) error { check(ctx); return nil },
			Run: func(ctx context.Context) error {
				check(ctx)
				runs <- ctx
				<-ctx.Done()
				w.note("run ends")
				return ctx.Err()
			},
			Stop: func(ctx context.Context) error {
				hard := <-runs
				runs <- hard
				check(ctx)
				check(hard)
				time.Sleep(3 * time.Second)
				check(ctx)
				check(hard)
				return nil
			},
		})
		time.AfterFunc(time.Second, cancel)
		require.NoError(t, w.Run(ctx))
		require.ErrorIs(t, context.Cause(<-runs), shutdown.ErrStopping)
		w.requireJournal("run ends at 4s")
	})
}

func TestComponentWithoutStopIsStoppedByTheEndOfItsContext(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(shutdown.Component{Name: "a", Phase: shutdown.Work, Run: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(5 * time.Second) // what it has in hand
			return context.Cause(ctx)
		}}, w.component("db", 0))
		require.NoError(t, w.run())
		w.requireJournal("start db at 0s", "stop db at 6s")
	})
}

// lost is an error with a list of causes that is empty.
type lost struct{}

func (lost) Error() string   { return "lost 3 records" }
func (lost) Unwrap() []error { return nil }

func TestOnlyTheEndOfItsOwnContextIsNoFailureOfARun(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		err    func(ctx context.Context) error
		failed bool
	}{
		"the context's error": {func(ctx context.Context) error { return ctx.Err() }, false},
		"wrapped":             {func(ctx context.Context) error { return fmt.Errorf("loop: %w", ctx.Err()) }, false},
		"the cause":           {context.Cause, false},
		"both":                {func(ctx context.Context) error { return errors.Join(ctx.Err(), context.Cause(ctx)) }, false},
		"another error":       {func(context.Context) error { return broken }, true},
		"another one besides": {func(ctx context.Context) error { return errors.Join(ctx.Err(), broken) }, true},
		"a panic with it":     {func(ctx context.Context) error { panic(ctx.Err()) }, true},
		"a budget that ended before": {
			func(ctx context.Context) error {
				return &deadline.Error{Name: "flush", Limit: time.Second, Err: ctx.Err()}
			}, true,
		},
		"another app with the same end": {
			func(ctx context.Context) error { return &shutdown.Report{Cause: context.Cause(ctx)} }, true,
		},
		"another app with something stuck": {
			func(context.Context) error { return &shutdown.Report{Steps: []shutdown.Step{{Stuck: true}}} }, true,
		},
		"a list of errors that is empty": {func(context.Context) error { return lost{} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
				w.Add(shutdown.Component{Name: "a", Run: func(ctx context.Context) error {
					<-ctx.Done()
					return c.err(ctx)
				}})
				require.Equal(t, c.failed, w.run() != nil)
			})
		})
	}
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(shutdown.Component{Name: "a", Run: func(context.Context) error { return context.Canceled }})
		require.ErrorIs(t, w.Run(t.Context()), context.Canceled, "its own context is alive")
	})
}

func TestStoppingClosesWhenTheStopBeginsAndCancelsNothing(t *testing.T) {
	inWorld(t, shutdown.Config{DrainDelay: time.Second}, func(t *testing.T, w *world) {
		w.Add(shutdown.Component{Name: "a", Phase: shutdown.Work, Run: func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			<-shutdown.Stopping(ctx)
			w.note("stopping")
			require.NoError(t, ctx.Err())
			<-ctx.Done()
			w.note("hard")
			return nil
		}})
		require.NoError(t, w.run())
		w.requireJournal("stopping at 1s", "hard at 2s")
	})
	require.Nil(t, shutdown.Stopping(t.Context()))
}

func TestDrainDelayKeepsTheAppAcceptingAndIsPartOfTheTimeout(t *testing.T) {
	inWorld(t, shutdown.Config{Timeout: 10 * time.Second, DrainDelay: 5 * time.Second}, func(t *testing.T, w *world) {
		consumer := w.component("consumer", shutdown.Intake)
		consumer.Stop = func(ctx context.Context) error {
			w.note("stop consumer")
			<-ctx.Done()
			return nil
		}
		w.Add(w.component("registry", shutdown.Announce), consumer, w.component("db", 0))
		require.NoError(t, w.run())
		// The phases before Resources end at 1 s + 10 s - 2 s. Of that 0.1 s is kept for tracked work, and 1.1 s for what
		// happens when the consumer's time is up.
		w.requireJournal(
			"start db at 0s", "start consumer at 0s", "start registry at 0s",
			"stop registry at 1s", "stop consumer at 6s", "stop db at 7.8s",
		)
	})
}
