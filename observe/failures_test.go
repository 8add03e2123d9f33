package observe_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/taskgroup"
)

// nested runs task in a group inside a task of another, whose error passes through wrap.
func nested(ctx context.Context, task func(context.Context) error, wrap func(error) error, opts ...taskgroup.Option) error {
	return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "page", Func: func(ctx context.Context) error {
			return wrap(taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Start(taskgroup.Task{Name: "load", Func: task})
				return nil
			}, append(opts, taskgroup.Name("inner"))...))
		}})
		return nil
	}, append(opts, taskgroup.Name("outer"))...)
}

func asItIs(err error) error { return err }

func TestAFailureIsLoggedWithItsGroupItsTaskAndWhereItIs(t *testing.T) {
	o, log := newObserver(t, observe.Config{})
	err := taskgroup.Run(o.Context(t.Context()), func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "load", Func: fails})
		g.Go(untilDone)
		return nil
	}, taskgroup.Name("page"))
	require.ErrorIs(t, err, errDown)
	r := log.only(t)
	require.Equal(t, "WARN", r["level"])
	require.Equal(t, "task failed", r["msg"])
	require.Equal(t, "page", r["group"])
	require.Equal(t, "load", r["task"])
	require.Equal(t, "connection refused", r["error"])
	require.Contains(t, r["func"], "observe_test.fails")
	require.Regexp(t, `world_test\.go:\d+$`, r["at"])
	require.Positive(t, r["after"])
	require.NotContains(t, r, "trace_id")
}

func TestAGroupWithoutANameIsLoggedByItsFunction(t *testing.T) {
	o, log := newObserver(t, observe.Config{})
	g := taskgroup.New(o.Context(t.Context()))
	g.Go(fails)
	require.Error(t, g.Wait())
	r := log.only(t)
	require.Equal(t, "observe_test.TestAGroupWithoutANameIsLoggedByItsFunction", r["group"])
	require.Equal(t, "observe_test.fails", r["task"])
}

// absent is an error whose methods cannot be called on nil.
type absent struct{ text string }

func (a *absent) Error() string { return a.text }

func TestAnErrorThatPanicsWhenAskedIsAFailureLikeAnyOther(t *testing.T) {
	o, log := newObserver(t, observe.Config{})
	g := taskgroup.New(o.Context(t.Context()), taskgroup.Name("page"))
	g.Go(func(context.Context) error { return (*absent)(nil) })
	require.NotPanics(t, func() { _ = g.Wait() })
	require.Equal(t, "page", log.only(t)["group"])
	require.Equal(t, "page", newSite(t, o).state().Failed[0].Name)
}

// broken is a handler of logs that panics.
type broken struct{ slog.Handler }

func (broken) Enabled(context.Context, slog.Level) bool  { return true }
func (broken) Handle(context.Context, slog.Record) error { panic("logger") }

func TestALoggerThatPanicsHoldsNothingUp(t *testing.T) {
	o, err := observe.New(observe.Config{Logger: slog.New(broken{})})
	require.NoError(t, err)

	g := taskgroup.New(o.Context(t.Context()))
	g.Go(fails)
	require.ErrorIs(t, g.Wait(), errDown)

	answer := httptest.NewRecorder()
	panicking := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })
	o.Recover(panicking).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	require.Equal(t, http.StatusInternalServerError, answer.Code)
}

func TestAFailureThatComesUpFromAGroupBelowIsLoggedOnce(t *testing.T) {
	for name, wrap := range map[string]func(error) error{
		"as it is": asItIs,
		"wrapped":  func(err error) error { return fmt.Errorf("page: %w", err) },
		"joined":   func(err error) error { return errors.Join(err, nil, err) },
		"unpacked": func(err error) error { return err.(*taskgroup.Error).Tasks[0] }, //nolint:errorlint // it is one
	} {
		t.Run(name, func(t *testing.T) {
			o, log := newObserver(t, observe.Config{})
			require.ErrorIs(t, nested(o.Context(t.Context()), fails, wrap), errDown)
			require.Equal(t, "inner", log.only(t)["group"])
		})
	}
}

func TestWhatComesUpWithSomethingNewIsLoggedAgain(t *testing.T) {
	o, log := newObserver(t, observe.Config{})
	errNew := errors.New("cannot roll back")
	require.Error(t, nested(o.Context(t.Context()), fails, func(err error) error { return errors.Join(err, errNew) }))
	require.Len(t, log.records(t), 2)
}

func TestAFailureOfAGroupThatIsNotObservedIsLoggedAsThatOfTheTaskAroundIt(t *testing.T) {
	o, log := newObserver(t, observe.Config{})
	err := taskgroup.Run(o.Context(t.Context()), func(_ context.Context, g *taskgroup.Group) error {
		g.Go(func(context.Context) error { return nested(t.Context(), fails, asItIs) })
		return nil
	}, taskgroup.Name("observed"))
	require.ErrorIs(t, err, errDown)
	require.Equal(t, "observed", log.only(t)["group"])
}

func TestTheFailureThatABodyHasFromItsTaskIsLoggedOnce(t *testing.T) {
	o, log := newObserver(t, observe.Config{})
	err := taskgroup.Run(o.Context(t.Context()), func(_ context.Context, g *taskgroup.Group) error {
		g.Go(func(ctx context.Context) error {
			return taskgroup.Run(ctx, func(ctx context.Context, g *taskgroup.Group) error {
				f := taskgroup.Async(g, func(context.Context) (int, error) { return 0, errDown })
				if _, err := f.Await(ctx); err != nil {
					return fmt.Errorf("sum: %w", err)
				}
				return nil
			}, taskgroup.KeepGoing())
		})
		return nil
	})
	require.ErrorIs(t, err, errDown)
	log.only(t)
}

func TestABodysOwnFailureIsLoggedWithTheTaskThatItIsIn(t *testing.T) {
	o, log := newObserver(t, observe.Config{})
	err := taskgroup.Run(o.Context(t.Context()), func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "page", Func: func(ctx context.Context) error {
			return taskgroup.Run(ctx, func(context.Context, *taskgroup.Group) error { return errDown })
		}})
		return nil
	})
	require.ErrorIs(t, err, errDown)
	require.Equal(t, "page", log.only(t)["task"])
}

func TestEveryFailureOfALoopIsLogged(t *testing.T) {
	o, log := newObserver(t, observe.Config{})
	items := slices.Values(make([]int, 40))
	err := taskgroup.ForEach(o.Context(t.Context()), 4, items, func(context.Context, int) error { return errDown }, taskgroup.KeepGoing())
	require.ErrorIs(t, err, errDown)
	require.Len(t, log.records(t), 40, "those that the error does not list, too")
}

func TestATaskThatStopsBecauseItWasToldToIsNotLogged(t *testing.T) {
	o, log := newObserver(t, observe.Config{})
	g := taskgroup.New(o.Context(t.Context()))
	g.Go(untilDone)
	g.Cancel(errDown)
	require.Error(t, g.Wait())
	require.Empty(t, log.records(t))
}

func TestAPanicIsLoggedOnceWithTheStackOfWhereItBegan(t *testing.T) {
	for name, policy := range map[string]taskgroup.Option{
		"propagate": taskgroup.OnPanic(taskgroup.Propagate), "as error": taskgroup.OnPanic(taskgroup.AsError),
	} {
		t.Run(name, func(t *testing.T) {
			o, log := newObserver(t, observe.Config{})
			func() {
				defer func() { recover() }()                             //nolint:errcheck // of the owner
				nested(o.Context(t.Context()), explodes, asItIs, policy) //nolint:errcheck // it is logged
			}()
			r := log.only(t)
			require.Equal(t, "ERROR", r["level"])
			require.Equal(t, "panic in a task", r["msg"])
			require.Equal(t, "inner", r["group"])
			require.Equal(t, "boom", r["panic"])
			require.Contains(t, r["stack"], "observe_test.explodes(")
		})
	}
}

func TestAPanicOfACallIsLoggedOnce(t *testing.T) {
	o, log := newObserver(t, observe.Config{})
	pool, err := executor.New(executor.Config{Name: "db", Workers: 1})
	require.NoError(t, err)
	o.Executor(pool)
	err = nested(o.Context(t.Context()), func(ctx context.Context) error {
		_, err := executor.Do(ctx, pool, func(ctx context.Context) (int, error) { return 0, explodes(ctx) })
		return fmt.Errorf("query: %w", err)
	}, asItIs)
	require.Error(t, err)
	require.NoError(t, pool.Close())
	r := log.only(t)
	require.Equal(t, "panic in a call", r["msg"])
	require.Equal(t, "db", r["executor"])
	require.Contains(t, r["stack"], "observe_test.explodes(")
}
