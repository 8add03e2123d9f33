package bench_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/bench"
)

// eachTimed runs f in a bubble for each implementation of calls with a timeout.
func eachTimed(t *testing.T, f func(t *testing.T, do bench.Timed)) {
	t.Helper()
	for _, p := range bench.Timeds() {
		t.Run(p.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, p.Do) })
		})
	}
}

var errFailed = errors.New("failed")

// untilDone fails when its context ends.
func untilDone(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, errFailed
}

func TestEveryTimeoutEndsItsContextWithACauseOfItsOwn(t *testing.T) {
	for _, p := range bench.Timeouts() {
		t.Run(p.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := p.Do(t.Context(), "call", time.Second)
				defer cancel()
				derived, cancelDerived := context.WithCancel(ctx)
				defer cancelDerived()
				<-derived.Done()
				require.Equal(t, time.Second, time.Since(start))
				require.Equal(t, context.DeadlineExceeded, ctx.Err())
				require.NotEqual(t, context.DeadlineExceeded, context.Cause(derived))
			})
		})
	}
}

func TestEveryTimeoutLeavesTheParentsDeadlineAndCancelsWithoutACause(t *testing.T) {
	for _, p := range bench.Timeouts() {
		t.Run(p.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parent, end := context.WithTimeout(t.Context(), time.Second)
				defer end()
				ctx, cancel := p.Do(parent, "call", time.Hour)
				want, _ := parent.Deadline()
				got, ok := ctx.Deadline()
				require.True(t, ok)
				require.Equal(t, want, got)
				cancel()
				require.Equal(t, context.Canceled, context.Cause(ctx))
				require.NoError(t, parent.Err())
			})
		})
	}
}

func TestEveryTimedCallReturnsWhatWasReturnedInTime(t *testing.T) {
	eachTimed(t, func(t *testing.T, do bench.Timed) {
		v, err := do(t.Context(), "call", time.Second, func(ctx context.Context) (int, error) { return 7, ctx.Err() })
		require.NoError(t, err)
		require.Equal(t, 7, v)
		_, err = do(t.Context(), "call", time.Second, func(context.Context) (int, error) { return 0, errFailed })
		require.Equal(t, errFailed, err)
	})
}

func TestEveryTimedCallSaysWhoseTimeRanOut(t *testing.T) {
	eachTimed(t, func(t *testing.T, do bench.Timed) {
		for _, limits := range []struct {
			outer, inner time.Duration
			blamed       string
		}{{2 * time.Second, time.Second, "inner: 1s"}, {time.Second, 2 * time.Second, "outer: 1s"}} {
			start := time.Now()
			_, err := do(t.Context(), "outer", limits.outer, func(ctx context.Context) (int, error) {
				return do(ctx, "inner", limits.inner, untilDone)
			})
			require.Equal(t, time.Second, time.Since(start))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, err, errFailed)
			require.ErrorContains(t, err, limits.blamed)
		}
	})
}

func TestNoTimedCallIsMadeWithoutTime(t *testing.T) {
	eachTimed(t, func(t *testing.T, do bench.Timed) {
		called := false
		_, err := do(t.Context(), "call", 0, func(context.Context) (int, error) {
			called = true
			return 0, nil
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "call")
		require.False(t, called)
	})
}

func TestEveryTimedCallThatIsCancelledReturnsItsOwnError(t *testing.T) {
	eachTimed(t, func(t *testing.T, do bench.Timed) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := do(ctx, "call", time.Hour, untilDone)
		require.Equal(t, errFailed, err)
	})
}
