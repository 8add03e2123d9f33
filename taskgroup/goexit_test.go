package taskgroup_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// goexit ends its goroutine, as t.FailNow does.
func goexit() { runtime.Goexit() }

// exits is a task that leaves in runtime.Goexit after d.
func exits(d time.Duration) func(context.Context) error {
	return func(context.Context) error {
		time.Sleep(d)
		goexit()
		return nil
	}
}

func TestGoexitOfATaskIsNeverASuccess(t *testing.T) {
	for name, opts := range map[string][]taskgroup.Option{
		"default":   nil,
		"Crash":     {taskgroup.OnPanic(taskgroup.Crash)},
		"KeepGoing": {taskgroup.KeepGoing()},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				g := taskgroup.New(ctx, opts...)
				g.Go(exits(0))
				g.Go(after(0, nil))
				require.Equal(t, ending{goexit: true}, end(g.Wait), "the owner exits")
				require.Equal(t, ending{goexit: true}, end(g.Wait), "each time")
				require.Equal(t, ending{goexit: true}, end(g.Stop))
			})
		})
	}
}

func TestGoexitOfATaskExitsFromRun(t *testing.T) {
	require.Equal(t, ending{goexit: true}, end(func() error {
		return taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
			g.Go(exits(0))
			return nil
		})
	}))
}

func TestDeferredStopExitsToo(t *testing.T) {
	require.Equal(t, ending{goexit: true}, end(func() error {
		g := taskgroup.New(t.Context())
		defer func() { _ = g.Stop() }()
		g.Go(exits(0))
		return g.Wait()
	}))
}

func TestGoexitCancelsTheRest(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Limit(2))
		g.Go(exits(10 * ms))
		g.Go(untilDone)
		g.Go(func(context.Context) error { panic("started after the Goexit") })
		require.Equal(t, ending{goexit: true}, end(g.Wait))
		require.Equal(t, 10*ms, now())
		require.ErrorIs(t, context.Cause(g.Context()), taskgroup.ErrGoexit)
	})
}

func TestGoexitUnderKeepGoingCancelsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Limit(1), taskgroup.KeepGoing())
		g.Go(exits(10 * ms))
		g.Go(func(ctx context.Context) error { // runs in the slot of the one that exited
			time.Sleep(10 * ms)
			require.NoError(t, ctx.Err())
			return nil
		})
		require.Equal(t, ending{goexit: true}, end(g.Wait))
		require.Equal(t, 20*ms, now())
	})
}

func TestGoexitAsErrorIsErrGoexit(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.OnPanic(taskgroup.AsError))
		g.Start(taskgroup.Task{Name: "load", Func: exits(10 * ms)})
		g.Go(untilDone)
		err := g.Wait()
		require.Equal(t, 10*ms, now())
		e := failed(t, err)
		require.Equal(t, taskgroup.ErrGoexit, e.Cause)
		require.Equal(t, []error{taskgroup.ErrGoexit}, errorsOf(e))
		require.Equal(t, "load", e.Tasks[0].Name)
		require.Equal(t, 1, e.Canceled)
	})
}

func TestGoexitOfABodyWaitsForTheTasks(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		require.Equal(t, ending{goexit: true}, end(func() error {
			return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Go(func(ctx context.Context) error {
					<-ctx.Done()
					time.Sleep(10 * ms)
					return ctx.Err()
				})
				synctest.Wait()
				goexit()
				return nil
			})
		}))
		require.Equal(t, 10*ms, now())
	})
}

func TestGoexitOfManyTasksLeavesNoTaskBehind(t *testing.T) {
	g := taskgroup.New(t.Context(), taskgroup.Limit(3), taskgroup.KeepGoing(), taskgroup.OnPanic(taskgroup.AsError), taskgroup.MaxErrors(1))
	for range 1000 {
		g.Go(exits(0)) // each ends its worker
	}
	e := failed(t, g.Wait())
	require.Equal(t, 999, e.Dropped)
}
