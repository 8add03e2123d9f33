package bench_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/bench"
)

// eachRetry runs f in a bubble for each implementation of retries.
func eachRetry(t *testing.T, f func(t *testing.T, retry bench.Retry)) {
	t.Helper()
	for _, p := range bench.Retries() {
		t.Run(p.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, p.Do) })
		})
	}
}

// eachHedge runs f in a bubble for each implementation of hedges.
func eachHedge(t *testing.T, f func(t *testing.T, hedge func(time.Duration) bench.Hedge)) {
	t.Helper()
	for _, p := range bench.Hedges() {
		t.Run(p.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, p.Do) })
		})
	}
}

func TestEveryoneRetriesAtOnceUntilAnAttemptSucceeds(t *testing.T) {
	eachRetry(t, func(t *testing.T, retry bench.Retry) {
		for want := 1; want <= 3; want++ {
			start, calls := time.Now(), 0
			v, err := retry(t.Context(), func(ctx context.Context, attempt int) (int, error) {
				calls++
				if attempt < want {
					return 0, errFailed
				}
				return attempt, ctx.Err()
			})
			require.NoError(t, err)
			require.Equal(t, want, v)
			require.Equal(t, want, calls)
			require.Zero(t, time.Since(start))
		}
	})
}

func TestEveryoneGivesUpAfterThreeAttemptsWithTheLastFailure(t *testing.T) {
	eachRetry(t, func(t *testing.T, retry bench.Retry) {
		failures := []error{errors.New("one"), errors.New("two"), errors.New("three"), errors.New("four")}
		_, err := retry(t.Context(), func(_ context.Context, attempt int) (int, error) { return 0, failures[attempt-1] })
		require.ErrorIs(t, err, failures[2])
	})
}

func TestNobodyRetriesWhatIsCancelled(t *testing.T) {
	eachRetry(t, func(t *testing.T, retry bench.Retry) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		calls := 0
		_, err := retry(ctx, func(context.Context, int) (int, error) {
			calls++
			cancel()
			return 0, errFailed
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, calls)
	})
}

func TestNobodyHedgesWhatIsInTime(t *testing.T) {
	eachHedge(t, func(t *testing.T, hedge func(time.Duration) bench.Hedge) {
		var calls atomic.Int64
		v, err := hedge(2*time.Second)(t.Context(), func(ctx context.Context, attempt int) (int, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return attempt, ctx.Err()
		})
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, int64(1), calls.Load())
	})
}

func TestEveryoneHedgesAfterTheDelayAndCancelsTheLoser(t *testing.T) {
	for slow, want := range map[int]time.Duration{1: time.Second + 2*time.Second, 2: 4 * time.Second} {
		t.Run(fmt.Sprintf("slow=%d", slow), func(t *testing.T) {
			eachHedge(t, func(t *testing.T, hedge func(time.Duration) bench.Hedge) {
				start := time.Now()
				var calls, canceled atomic.Int64
				v, err := hedge(time.Second)(t.Context(), func(ctx context.Context, attempt int) (int, error) {
					calls.Add(1)
					if attempt == slow {
						<-ctx.Done()
						canceled.Add(1)
						return 0, ctx.Err()
					}
					time.Sleep([]time.Duration{4 * time.Second, 2 * time.Second}[attempt-1])
					return attempt, ctx.Err()
				})
				require.NoError(t, err)
				require.Equal(t, 3-slow, v)
				require.Equal(t, want, time.Since(start))
				synctest.Wait() // one of them does not wait for the loser
				require.Equal(t, int64(2), calls.Load())
				require.Equal(t, int64(1), canceled.Load())
			})
		})
	}
}

func TestEveryHedgeOutlivesTheFirstFailure(t *testing.T) {
	eachHedge(t, func(t *testing.T, hedge func(time.Duration) bench.Hedge) {
		start := time.Now()
		v, err := hedge(0)(t.Context(), func(ctx context.Context, attempt int) (int, error) {
			if attempt == 1 {
				return 0, errFailed
			}
			time.Sleep(time.Second)
			return attempt, ctx.Err()
		})
		require.NoError(t, err)
		require.Equal(t, 2, v)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestEveryHedgeThatFailsTwiceReturnsTheLastFailure(t *testing.T) {
	eachHedge(t, func(t *testing.T, hedge func(time.Duration) bench.Hedge) {
		failures := []error{errors.New("one"), errors.New("two")}
		_, err := hedge(0)(t.Context(), func(_ context.Context, attempt int) (int, error) {
			time.Sleep(time.Duration(attempt) * time.Second)
			return 0, failures[attempt-1]
		})
		require.ErrorIs(t, err, failures[1])
	})
}

func TestEveryHedgeObeysTheCallersContext(t *testing.T) {
	eachHedge(t, func(t *testing.T, hedge func(time.Duration) bench.Hedge) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := hedge(time.Second)(ctx, func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 2*time.Second, time.Since(start))
	})
}
