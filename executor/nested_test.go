package executor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

func TestNestedCallsRunInTheSlotOfTheirParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: executor.NoQueue})
		for _, outer := range [][]executor.CallOption{nil, {executor.Inline()}} {
			for _, inner := range [][]executor.CallOption{nil, {executor.Inline()}, {executor.NoWait()}} {
				depth := 0
				var descend func(ctx context.Context) (int, error)
				descend = func(ctx context.Context) (int, error) {
					if depth++; depth == 4 {
						require.Equal(t, 1, p.Stats().Running)
						return depth, nil
					}
					return executor.Do(ctx, p, descend, inner...)
				}
				got, err := executor.Do(cancellable(t), p, descend, outer...)
				require.NoError(t, err)
				require.Equal(t, 4, got)
			}
		}
	})
}

func TestNestedCallsOfOneParentRunOneAtATimeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 2, Queue: executor.NoQueue})
		_, err := executor.Do(cancellable(t), p, func(ctx context.Context) (int, error) {
			var calls []<-chan ending[time.Duration]
			for i := range 4 {
				var opts []executor.CallOption
				if i%2 == 1 {
					opts = append(opts, executor.Inline())
				}
				calls = append(calls, background(func() (time.Duration, error) {
					return executor.Do(ctx, p, sleep(time.Second), opts...)
				}))
			}
			require.Equal(t, executor.Stats{Workers: 2, Running: 1}, load(p))
			_, err := executor.Do(ctx, p, never, executor.NoWait())
			require.Equal(t, executor.ErrQueueFull, err)
			for i, call := range calls {
				require.Equal(t, ending[time.Duration]{time.Second, nil, time.Duration(i+1) * time.Second}, <-call)
			}
			return 0, nil
		})
		require.NoError(t, err)
	})
}

func TestTheLastNestedCallGivesTheSlotBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		var running, waiting <-chan ending[time.Duration]
		_, err := executor.Do(cancellable(t), p, func(ctx context.Context) (int, error) {
			nested := func() (time.Duration, error) { return executor.Do(ctx, p, sleep(time.Minute)) }
			running, waiting = background(nested), background(nested)
			return 0, nil
		})
		require.NoError(t, err)
		var abandoned *executor.AbandonedError
		require.ErrorAs(t, (<-running).err, &abandoned)
		require.ErrorIs(t, abandoned, context.Canceled)
		require.ErrorIs(t, (<-waiting).err, executor.ErrNotStarted)
		synctest.Wait()
		require.Equal(t, executor.Stats{Workers: 1, Running: 1, Abandoned: 1}, load(p))
		start := time.Now()
		_, err = executor.Do(cancellable(t), p, noop)
		require.NoError(t, err)
		require.Equal(t, time.Minute, time.Since(start))
	})
}

func TestNoMoreWorkersAreParkedThanThereAreSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		before := goroutines()
		_, err := executor.Do(cancellable(t), p, func(ctx context.Context) (int, error) {
			return executor.Do(ctx, p, func(ctx context.Context) (int, error) {
				return executor.Do(ctx, p, noop)
			})
		})
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, before+1, goroutines())
	})
}

func TestCallsLeftBehindWaitLikeAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		var left context.Context
		_, err := executor.Do(cancellable(t), p, func(ctx context.Context) (int, error) {
			left = context.WithoutCancel(ctx)
			return 0, nil
		})
		require.NoError(t, err)
		go executor.Do(cancellable(t), p, sleep(time.Minute))
		synctest.Wait()
		start := time.Now()
		_, err = executor.Do(left, p, noop)
		require.NoError(t, err)
		require.Equal(t, time.Minute, time.Since(start))
	})
}

func TestNestedCallsAreFoundThroughOtherPools(t *testing.T) {
	a := newPool(t, executor.Config{Workers: 1, Queue: executor.NoQueue})
	b := newPool(t, executor.Config{Workers: 1, Queue: executor.NoQueue})
	got, err := executor.Do(cancellable(t), a, func(ctx context.Context) (int, error) {
		return executor.Do(ctx, b, func(ctx context.Context) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			return executor.Submit(ctx, a, noop).Await(ctx)
		})
	})
	require.NoError(t, err)
	require.Equal(t, 1, got)
}
