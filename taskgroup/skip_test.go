package taskgroup_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

func TestQueuedTasksAreNotStartedAfterCancellation(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Limit(2))
		g.Go(after(10*ms, errA))
		g.Go(after(20*ms, nil))
		for range 100 {
			g.Go(func(context.Context) error {
				t.Error("started after the cancellation")
				return nil
			})
		}
		e := failed(t, g.Wait())
		require.Equal(t, 20*ms, now())
		require.Equal(t, 100, e.Skipped)
		require.Equal(t, []error{errA}, errorsOf(e))
	})
}

func TestNewTasksAreNotStartedAfterCancellation(t *testing.T) {
	never := func(context.Context) error { panic("started after the cancellation") }
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Cancel(errA)
		g.Go(never)
		g.Start(taskgroup.Task{Name: "named", Func: never})
		g.Start(taskgroup.Task{Background: true, Func: never})
		require.Equal(t, 3, failed(t, g.Wait()).Skipped)

		ctx, cancel := context.WithCancel(ctx)
		g = taskgroup.New(ctx)
		cancel()
		g.Go(never)
		require.Equal(t, 1, failed(t, g.Wait()).Skipped, "the parent's end counts like the group's")
	})
}

func TestTaskGivenToGoJustBeforeAFailureMayNeverRun(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Limit(1))
		g.Go(func(context.Context) error {
			g.Go(func(context.Context) error { panic("started after the failure") })
			return errA
		})
		require.Equal(t, 1, failed(t, g.Wait()).Skipped)
	})
}

func TestTryGoRefusesWhatCannotStartAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Limit(2))
		require.True(t, g.TryGo(untilDone))
		require.True(t, g.TryGo(after(10*ms, nil)))
		require.False(t, g.TryGo(untilDone), "at the limit")
		time.Sleep(10 * ms)
		synctest.Wait()
		require.True(t, g.TryGo(untilDone), "a slot is free again")
		synctest.Wait()
		g.Cancel(errA)
		require.False(t, g.TryGo(untilDone), "cancelled")
		e := failed(t, g.Wait())
		require.Zero(t, e.Skipped, "what TryGo refuses was never in the group")
		require.Equal(t, 2, e.Canceled)
		require.False(t, g.TryGo(untilDone), "joined")
	})
}

func TestTryGoRefusesWhatWouldHaveToQueueBehindOthers(t *testing.T) {
	g := taskgroup.New(t.Context(), taskgroup.Limit(2))
	release := make(chan struct{})
	held := func(context.Context) error {
		<-release
		return nil
	}
	g.Go(held)
	g.Go(held) // queued or running: both have a slot
	require.False(t, g.TryGo(held))
	close(release)
	require.NoError(t, g.Wait())
}

func TestTryGoIsUnlimitedWithoutALimit(t *testing.T) {
	for _, opts := range [][]taskgroup.Option{nil, {taskgroup.Limit(taskgroup.Unlimited)}, {taskgroup.Limit(1 << 40)}} {
		g := taskgroup.New(t.Context(), opts...)
		for range 100 {
			require.True(t, g.TryGo(untilDone))
		}
		require.NoError(t, g.Stop())
	}
}
