package taskgroup_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// attempt is a function of a race that ends after d, or when it is cancelled, and then all the same with its value if
// stubborn.
type attempt struct {
	d        time.Duration
	err      error
	stubborn bool
}

func race(live *atomic.Int64, attempts ...attempt) (fs []func(context.Context) (time.Duration, error)) {
	for _, a := range attempts {
		fs = append(fs, func(ctx context.Context) (time.Duration, error) {
			live.Add(1)
			defer live.Add(-1)
			select {
			case <-time.After(a.d):
				return a.d, a.err
			case <-ctx.Done():
				if a.stubborn {
					time.Sleep(ms)
					return a.d, nil
				}
				return 0, ctx.Err()
			}
		})
	}
	return fs
}

func TestFirstReturnsTheFirstSuccessWhenTheOthersHaveEnded(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var live atomic.Int64
		var discarded []time.Duration
		got, err := taskgroup.First(ctx, race(&live, attempt{d: 9 * ms, stubborn: true}, attempt{d: 3 * ms}, attempt{d: ms, err: errA}, attempt{d: 5 * ms}),
			taskgroup.Discard(func(v time.Duration) { discarded = append(discarded, v) }))
		require.NoError(t, err)
		require.Equal(t, 3*ms, got)
		require.Equal(t, 4*ms, now(), "the stubborn one was waited for")
		require.Zero(t, live.Load())
		require.Equal(t, []time.Duration{9 * ms}, discarded)
	})
}

func TestFirstOfFailuresListsThemAll(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var live atomic.Int64
		got, err := taskgroup.First(ctx, race(&live, attempt{d: 2 * ms, err: errB}, attempt{d: ms, err: errA}))
		require.Zero(t, got)
		require.Equal(t, []error{errA, errB}, errorsOf(failed(t, err)))
	})
}

func TestFirstOfNothingIsAnError(t *testing.T) {
	_, err := taskgroup.First[int](t.Context(), nil)
	require.EqualError(t, failed(t, err), "taskgroup: First needs at least one function")
}

func TestFirstThatLosesItsParentReportsTheCause(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithTimeoutCause(ctx, ms, errB)
		defer cancel()
		var live atomic.Int64
		_, err := taskgroup.First(ctx, race(&live, attempt{d: 2 * ms}, attempt{d: 3 * ms}))
		e := failed(t, err)
		require.Equal(t, errB, e.Cause)
		require.Equal(t, 2, e.Canceled)
	})
}

func TestQuorumReturnsTheFirstSuccessesInTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var live atomic.Int64
		got, err := taskgroup.Quorum(ctx, 2, race(&live, attempt{d: 4 * ms}, attempt{d: ms}, attempt{d: 2 * ms, err: errA}, attempt{d: 3 * ms}))
		require.NoError(t, err)
		require.Equal(t, []time.Duration{ms, 3 * ms}, got)
		require.Equal(t, 3*ms, now())
	})
}

func TestQuorumThatCannotBeReachedCancelsAtOnceAndDiscards(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var live atomic.Int64
		var discarded []time.Duration
		got, err := taskgroup.Quorum(ctx, 3, race(&live, attempt{d: ms}, attempt{d: 2 * ms, err: errA}, attempt{d: 3 * ms, err: errB}, attempt{d: time.Hour}),
			taskgroup.Discard(func(v time.Duration) { discarded = append(discarded, v) }))
		require.Nil(t, got)
		e := failed(t, err)
		require.Equal(t, []error{errA, errB}, errorsOf(e))
		require.Equal(t, 1, e.Canceled)
		require.Equal(t, 3*ms, now())
		require.Equal(t, []time.Duration{ms}, discarded)
	})
}

func TestPanicOfALoserReachesTheCaller(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		p := panicOf(t, func() error {
			_, err := taskgroup.First(ctx, []func(context.Context) (int, error){
				func(context.Context) (int, error) { time.Sleep(ms); return 1, nil },
				func(ctx context.Context) (int, error) { <-ctx.Done(); culprit("boom"); return 0, nil },
			})
			return err
		})
		requireCulprit(t, p)
	})
}

func TestWhatWasWonGoesToDiscardWhenALoserPanics(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var discarded []int
		requireCulprit(t, panicOf(t, func() error {
			_, err := taskgroup.First(ctx, []func(context.Context) (int, error){
				func(context.Context) (int, error) { time.Sleep(ms); return 1, nil },
				func(ctx context.Context) (int, error) { <-ctx.Done(); culprit("boom"); return 0, nil },
			}, taskgroup.Discard(func(v int) { discarded = append(discarded, v) }))
			return err
		}))
		require.Equal(t, []int{1}, discarded)
	})
}

func TestPanicThatIsAnErrorCountsAsAFailedAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		_, err := taskgroup.Quorum(ctx, 2, []func(context.Context) (int, error){
			func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
			func(context.Context) (int, error) { culprit("boom"); return 0, nil },
		}, taskgroup.OnPanic(taskgroup.AsError))
		p, ok := errors.AsType[*taskgroup.PanicError](err)
		require.True(t, ok)
		require.Equal(t, "boom", p.Value)
		require.Zero(t, now())
	})
}

func TestQuorumOfMoreThanThereArePanics(t *testing.T) {
	require.PanicsWithValue(t, "taskgroup: Quorum of 2 among 1 functions", func() {
		_, _ = taskgroup.Quorum(t.Context(), 2, []func(context.Context) (int, error){one})
	})
}

func TestQuorumOfANilFunctionPanics(t *testing.T) {
	require.PanicsWithValue(t, "taskgroup: function 2 of 2 is nil", func() {
		_, _ = taskgroup.First(t.Context(), []func(context.Context) (int, error){one, nil})
	})
}
