package taskgroup_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// culprit is the function that stacks have to name.
//
//go:noinline
func culprit(value any) { panic(value) }

// panics is a task that panics with value after d.
//
//go:noinline
func panics(d time.Duration, value any) func(context.Context) error {
	return func(context.Context) error {
		time.Sleep(d)
		culprit(value)
		return nil
	}
}

// panicOf is what f panics with, which must be a *PanicError.
func panicOf(t *testing.T, f func() error) *taskgroup.PanicError {
	t.Helper()
	e := end(f)
	require.NoError(t, e.err)
	require.False(t, e.goexit)
	require.IsType(t, &taskgroup.PanicError{}, e.panicked)
	return e.panicked.(*taskgroup.PanicError)
}

// requireCulprit checks that a stack begins in the task.
func requireCulprit(t *testing.T, p *taskgroup.PanicError) {
	t.Helper()
	lines := strings.Split(string(p.Stack), "\n")
	require.True(t, strings.HasPrefix(lines[0], "goroutine "), lines[0])
	require.Contains(t, lines[1], "taskgroup_test.culprit(")
}

func TestPanicInATaskPanicsInTheOwnerWithTheOriginalStack(t *testing.T) {
	for name, owner := range map[string]func(context.Context, func(context.Context) error) error{
		"Run": func(ctx context.Context, task func(context.Context) error) error {
			return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Go(task)
				return nil
			})
		},
		"Wait": func(ctx context.Context, task func(context.Context) error) error {
			g := taskgroup.New(ctx)
			g.Go(task)
			return g.Wait()
		},
		"Stop": func(ctx context.Context, task func(context.Context) error) error {
			g := taskgroup.New(ctx)
			g.Go(task)
			time.Sleep(20 * ms)
			return g.Stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				p := panicOf(t, func() error { return owner(ctx, panics(10*ms, "boom")) })
				require.Equal(t, "boom", p.Value)
				requireCulprit(t, p)
				require.Equal(t, "taskgroup_test.panics.func1", p.Task)
			})
		})
	}
}

func TestPanicNamesTheTask(t *testing.T) {
	g := taskgroup.New(t.Context())
	g.Start(taskgroup.Task{Name: "load", Func: panics(0, io.ErrUnexpectedEOF)})
	p := panicOf(t, g.Wait)
	require.Equal(t, "load", p.Task)
	require.ErrorIs(t, p, io.ErrUnexpectedEOF, "the value is an error")
	require.Equal(t, "panic in load: unexpected EOF", p.Summary())
}

func TestPanicCancelsTheGroupAndWaitsForTheOthers(t *testing.T) {
	for name, opts := range map[string][]taskgroup.Option{"default": nil, "KeepGoing": {taskgroup.KeepGoing()}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
				var cancelled, ended time.Duration
				p := panicOf(t, func() error {
					return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
						g.Go(panics(10*ms, "boom"))
						g.Go(func(ctx context.Context) error {
							<-ctx.Done()
							cancelled = now()
							var p *taskgroup.PanicError
							require.ErrorAs(t, context.Cause(ctx), &p)
							time.Sleep(5 * ms)
							ended = now()
							return nil
						})
						return nil
					}, opts...)
				})
				require.Equal(t, "boom", p.Value)
				require.Equal(t, 10*ms, cancelled)
				require.Equal(t, 15*ms, ended)
				require.Equal(t, 15*ms, now())
			})
		})
	}
}

func TestEveryWaitPanics(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Go(panics(10*ms, "boom"))
		results := make(chan ending, 8)
		for range cap(results) {
			go func() { results <- end(g.Wait) }()
		}
		first := panicOf(t, g.Wait)
		for range cap(results) {
			require.Same(t, first, (<-results).panicked)
		}
		require.Same(t, first, panicOf(t, g.Wait))
		require.Same(t, first, panicOf(t, g.Stop))
	})
}

func TestRunPanicsThoughItsBodyHasRecoveredThePanicOfWait(t *testing.T) {
	for _, result := range []error{nil, errA} {
		p := panicOf(t, func() error {
			return taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
				g.Go(panics(0, "boom"))
				require.Equal(t, "boom", panicOf(t, g.Wait).Value)
				return result
			})
		})
		require.Equal(t, "boom", p.Value)
	}
}

func TestDeferredStopPanicsWithTheSame(t *testing.T) {
	p := panicOf(t, func() error {
		g := taskgroup.New(t.Context())
		defer func() { _ = g.Stop() }()
		g.Go(panics(0, "boom"))
		return g.Wait()
	})
	require.Equal(t, "boom", p.Value)
	requireCulprit(t, p)
}

func TestFirstOfTwoPanicsCounts(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Go(panics(20*ms, "second"))
		g.Go(panics(10*ms, "first"))
		require.Equal(t, "first", panicOf(t, g.Wait).Value)
		require.Equal(t, 20*ms, now())
	})
}

func TestPanicWaits30SecondsForAnOwner(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Go(panics(0, "boom"))
		time.Sleep(30*time.Second - 1)
		require.Equal(t, "boom", panicOf(t, g.Wait).Value)
		require.Equal(t, 30*time.Second-1, now())
	})
}

func TestPanicAsErrorIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Start(taskgroup.Task{Name: "load", Func: panics(10*ms, errA)})
			g.Go(untilDone)
			return nil
		}, taskgroup.OnPanic(taskgroup.AsError))
		require.Equal(t, 10*ms, now())
		e := failed(t, err)
		var p *taskgroup.PanicError
		require.ErrorAs(t, e.Cause, &p)
		require.Equal(t, []error{p}, errorsOf(e))
		require.Equal(t, errA, p.Value)
		require.Equal(t, "load", p.Task)
		requireCulprit(t, p)
		require.ErrorIs(t, err, errA)
		require.Equal(t, 1, e.Canceled)
	})
}

func TestPanicAsErrorLetsTheOthersGoOnUnderKeepGoing(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(panics(10*ms, "one"))
			g.Go(panics(20*ms, "two"))
			g.Go(after(30*ms, errA))
			return nil
		}, taskgroup.OnPanic(taskgroup.AsError), taskgroup.KeepGoing())
		require.Equal(t, 30*ms, now())
		require.Len(t, failed(t, err).Tasks, 3)
	})
}

func TestPanicInABodyIsNotRecovered(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		defer func() {
			require.Equal(t, "body", recover(), "as it is, and not as a PanicError")
			require.Equal(t, 15*ms, now(), "when the tasks have ended")
		}()
		_ = taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(func(ctx context.Context) error {
				<-ctx.Done()
				require.Equal(t, &taskgroup.CancelError{Cause: taskgroup.ErrStopped}, context.Cause(ctx))
				time.Sleep(5 * ms)
				return nil
			})
			time.Sleep(10 * ms)
			panic("body")
		})
	})
}

func TestPanicInABodyIsHeldBackFor30SecondsAtMost(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		release := make(chan struct{})
		e := end(func() error {
			return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Go(func(context.Context) error {
					<-release
					return nil
				})
				time.Sleep(10 * ms)
				panic("body")
			})
		})
		require.Equal(t, "body", e.panicked)
		require.Equal(t, 30*time.Second+10*ms, now())
		close(release)
	})
}

func TestPanicsInABodyAndInATaskLetTheBodysFly(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		e := end(func() error {
			return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Go(panics(5*ms, "task"))
				time.Sleep(10 * ms)
				panic("body")
			})
		})
		require.Equal(t, "body", e.panicked)
		time.Sleep(time.Hour) // the task's panic has been taken: nothing goes on after 30 seconds
		require.Equal(t, time.Hour+10*ms, now())
	})
}

func TestPanicCountsBeforeGoexitBeforeError(t *testing.T) {
	for _, c := range []struct {
		name                 string
		panics, exits, fails time.Duration // when, 0 is not
		want                 ending
	}{
		{"all, panic last", 30 * ms, 20 * ms, 10 * ms, ending{panicked: "boom"}},
		{"all, panic first", 10 * ms, 20 * ms, 30 * ms, ending{panicked: "boom"}},
		{"panic and error", 20 * ms, 0, 10 * ms, ending{panicked: "boom"}},
		{"panic and Goexit", 20 * ms, 10 * ms, 0, ending{panicked: "boom"}},
		{"Goexit and error", 0, 20 * ms, 10 * ms, ending{goexit: true}},
		{"Goexit before error", 0, 10 * ms, 20 * ms, ending{goexit: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
				got := end(func() error {
					return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
						if c.panics > 0 {
							g.Go(panics(c.panics, "boom"))
						}
						if c.exits > 0 {
							g.Go(exits(c.exits))
						}
						if c.fails > 0 {
							g.Go(after(c.fails, errA))
						}
						return nil
					})
				})
				require.Equal(t, max(c.panics, c.exits, c.fails), now())
				if p, ok := errors.AsType[*taskgroup.PanicError](asError(got.panicked)); ok {
					got.panicked = p.Value
				}
				require.Equal(t, c.want, got)
			})
		})
	}
}

func asError(v any) error {
	err, _ := v.(error)
	return err
}

func TestPanicOfATaskIsNotLostWhenTheBodyExits(t *testing.T) {
	e := end(func() error {
		return taskgroup.Run(t.Context(), func(ctx context.Context, g *taskgroup.Group) error {
			g.Go(panics(0, "boom"))
			<-ctx.Done()
			goexit() // as t.FailNow does, because of what the panic has left undone
			return nil
		})
	})
	require.NotNil(t, e.panicked, "a panic counts before a Goexit")
}

func TestPanicOfATaskIsNotLostWhenTheLoopBodyExits(t *testing.T) {
	received, panicked := make(chan struct{}), make(chan struct{})
	e := end(func() error {
		for _, err := range taskgroup.Stream(t.Context(), 2, slices.Values([]int{1, 2}), func(_ context.Context, i int) (int, error) {
			if i == 2 {
				<-received
				defer close(panicked)
				culprit("boom")
			}
			return i, nil
		}) {
			require.NoError(t, err)
			close(received)
			<-panicked
			goexit()
		}
		return nil
	})
	require.NotNil(t, e.panicked, "a panic counts before a Goexit")
}

func TestNestedGroupsKeepTheFirstStack(t *testing.T) {
	nest := func(task func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Go(task)
				return nil
			})
		}
	}
	innermost := panics(0, "boom")
	p := panicOf(t, func() error { return nest(nest(nest(innermost)))(t.Context()) })
	require.Equal(t, "boom", p.Value)
	require.Equal(t, "taskgroup_test.panics.func1", p.Task)
	requireCulprit(t, p)
}

func TestPanicThatHasBeenTakenLeavesNoGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Go(panics(0, "boom"))
		synctest.Wait()
		require.Contains(t, stacks(), "taskgroup_test.culprit(", "the frames are kept until the owner comes")
		require.Equal(t, "boom", panicOf(t, g.Wait).Value)
		synctest.Wait()
		require.NotContains(t, stacks(), "taskgroup_test.culprit(")
		require.Zero(t, now())
	})
}

func TestPanicWithNilIsAPanic(t *testing.T) {
	g := taskgroup.New(t.Context())
	g.Go(panics(0, nil))
	require.ErrorContains(t, panicOf(t, g.Wait), "panic called with nil argument")
}
