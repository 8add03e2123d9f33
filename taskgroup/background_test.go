package taskgroup_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// serving is a background task that tells when it was stopped, and then takes 5 ms to end with err.
func serving(now func() time.Duration, stopped *time.Duration, err error) taskgroup.Task {
	return taskgroup.Task{Background: true, Func: func(ctx context.Context) error {
		<-ctx.Done()
		*stopped = now()
		time.Sleep(5 * ms)
		return err
	}}
}

func TestBackgroundTasksEndLast(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var stopped time.Duration
		require.NoError(t, taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Start(serving(now, &stopped, nil))
			g.Go(after(10*ms, nil))
			time.Sleep(20 * ms)
			g.Go(after(10*ms, nil))
			return nil
		}))
		require.Equal(t, 30*ms, stopped, "after body and tasks")
		require.Equal(t, 35*ms, now(), "they are joined")
	})
}

func TestBackgroundTasksServeTheOthersUntilTheyHaveEnded(t *testing.T) {
	for name, cut := range map[string]func(*taskgroup.Group, context.CancelFunc){
		"failure": func(g *taskgroup.Group, _ context.CancelFunc) { g.Go(after(0, errA)) },
		"panic":   func(g *taskgroup.Group, _ context.CancelFunc) { g.Go(panics(0, "boom")) },
		"Cancel":  func(g *taskgroup.Group, _ context.CancelFunc) { g.Cancel(errA) },
		"parent":  func(_ *taskgroup.Group, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				g := taskgroup.New(ctx)
				var stopped time.Duration
				g.Start(serving(now, &stopped, nil))
				g.Go(func(ctx context.Context) error {
					<-ctx.Done()
					time.Sleep(10 * ms) // cleans up, and needs the service
					return nil
				})
				synctest.Wait()
				cut(g, cancel)
				_ = end(g.Wait)
				require.Equal(t, 10*ms, stopped)
				require.Equal(t, 15*ms, now())
			})
		})
	}
}

func TestBackgroundTaskOfAGroupThatNobodyWaitsForGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		var stopped time.Duration
		g.Start(serving(now, &stopped, nil))
		g.Go(after(10*ms, nil))
		time.Sleep(20 * ms)
		g.Go(after(10*ms, nil)) // the group lives on: there may be a next task
		require.NoError(t, g.Wait())
		require.Equal(t, 30*ms, stopped)
	})
}

func TestContextOfBackgroundTasksHasTheParentsValuesButNotItsCancellation(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, key("x"), 1), 10*ms)
		defer cancel()
		g := taskgroup.New(ctx)
		g.Go(after(20*ms, nil))
		g.Start(taskgroup.Task{Background: true, Func: func(ctx context.Context) error {
			require.Equal(t, 1, ctx.Value(key("x")))
			_, ok := ctx.Deadline()
			require.False(t, ok)
			<-ctx.Done()
			require.Equal(t, 20*ms, now())
			return nil
		}})
		require.NoError(t, g.Wait())
	})
}

func TestContextOfBackgroundTasksIsCancelledWithErrStopped(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Name("checkout"))
		g.Start(taskgroup.Task{Background: true, Func: func(ctx context.Context) error {
			<-ctx.Done()
			require.Equal(t, context.Canceled, ctx.Err())
			require.Equal(t, &taskgroup.CancelError{Group: "checkout", Cause: taskgroup.ErrStopped}, context.Cause(ctx))
			return nil
		}})
		g.Go(after(10*ms, errA))
		require.Equal(t, errA, failed(t, g.Wait()).Cause)
	})
}

func TestContextOfBackgroundTasksEndsThoughTheyHaveReturned(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		var ended time.Duration
		handedOut := make(chan context.Context, 1)
		g.Start(taskgroup.Task{Background: true, Func: func(ctx context.Context) error {
			handedOut <- ctx
			context.AfterFunc(ctx, func() { ended = now() })
			return nil
		}})
		g.Go(after(10*ms, nil))
		require.NoError(t, g.Wait())
		synctest.Wait()
		require.Equal(t, context.Canceled, (<-handedOut).Err())
		require.Equal(t, 10*ms, ended)
	})
}

func TestBackgroundTasksDoNotCountAgainstTheLimit(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Limit(1))
		var stopped [3]time.Duration
		for i := range stopped {
			g.Start(serving(now, &stopped[i], nil))
		}
		synctest.Wait()
		require.True(t, g.TryGo(after(10*ms, nil)))
		require.False(t, g.TryGo(after(10*ms, nil)))
		require.NoError(t, g.Wait())
		require.Equal(t, [3]time.Duration{10 * ms, 10 * ms, 10 * ms}, stopped)
	})
}

func TestEchoOfABackgroundTaskIsNotCounted(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithCancel(ctx)
		g := taskgroup.New(ctx)
		g.Start(taskgroup.Task{Background: true, Func: untilDone})
		g.Start(taskgroup.Task{Background: true, Func: returnsAtTheEnd(context.Cause)})
		synctest.Wait()
		cancel()
		require.NoError(t, g.Wait(), "nothing was cut short")

		g = taskgroup.New(context.WithoutCancel(ctx))
		g.Start(taskgroup.Task{Background: true, Func: untilDone})
		g.Go(after(10*ms, errA))
		require.Zero(t, failed(t, g.Wait()).Canceled)
	})
}

func TestFailureOfABackgroundTaskIsOneOfTheGroup(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Start(taskgroup.Task{Name: "refresh", Background: true, Func: after(10*ms, errA)})
		g.Go(untilDone)
		e := failed(t, g.Wait())
		require.Equal(t, 10*ms, now())
		require.Equal(t, []error{errA}, errorsOf(e))
		require.Equal(t, "refresh", e.Tasks[0].Name)
		require.Equal(t, 10*ms, e.Tasks[0].Elapsed)
		require.Equal(t, 1, e.Canceled)
	})
}

func TestFailureOfABackgroundTaskThatStopsIsReported(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var stopped time.Duration
		g := taskgroup.New(ctx)
		g.Start(serving(now, &stopped, errA))
		synctest.Wait()
		e := failed(t, g.Stop())
		require.Equal(t, []error{errA}, errorsOf(e))
	})
}

func TestBackgroundTaskThatReturnsEarlyIsASuccess(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Start(taskgroup.Task{Background: true, Func: after(10*ms, nil)})
		g.Go(after(20*ms, nil))
		require.NoError(t, g.Wait())
		require.Equal(t, 20*ms, now())
	})
}

func TestBackgroundTaskThatEndsOtherwiseIsNeverASuccess(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Start(taskgroup.Task{Background: true, Func: panics(10*ms, "boom")})
		g.Go(untilDone)
		require.Equal(t, "boom", panicOf(t, g.Wait).Value)
		require.Equal(t, 10*ms, now())

		g = taskgroup.New(ctx)
		g.Start(taskgroup.Task{Background: true, Func: exits(10 * ms)})
		g.Go(untilDone)
		require.True(t, end(g.Wait).goexit)
		require.Equal(t, 20*ms, now())
	})
}

func TestBackgroundTaskMayStartTasksWhileItStops(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		ran := false
		g.Start(taskgroup.Task{Background: true, Func: func(ctx context.Context) error {
			<-ctx.Done()
			g.Go(func(context.Context) error {
				time.Sleep(10 * ms)
				ran = true
				return nil
			})
			return nil
		}})
		synctest.Wait()
		require.NoError(t, g.Wait())
		require.True(t, ran)
		require.Equal(t, 10*ms, now())
	})
}

func TestBackgroundTaskIsSkippedOnceTheyHaveBeenStopped(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Start(taskgroup.Task{Background: true, Func: func(ctx context.Context) error {
			<-ctx.Done()
			g.Start(taskgroup.Task{Background: true, Func: func(context.Context) error { panic("started") }})
			return nil
		}})
		synctest.Wait()
		require.NoError(t, g.Wait())
	})
}

// The cancellation takes a while, since a hundred thousand contexts hear of it, and the task ends meanwhile: who waits
// must not wait for that any more.
func TestWaitReturnsWhenABackgroundTaskEndsWhileItIsBeingStopped(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		require.NoError(t, taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Start(taskgroup.Task{Background: true, Func: func(ctx context.Context) error {
				cancels := make([]context.CancelFunc, 100_000)
				for i := range cancels {
					_, cancels[i] = context.WithCancel(ctx)
				}
				<-ctx.Done()
				return nil
			}})
			synctest.Wait()
			return nil
		}))
	})
}
