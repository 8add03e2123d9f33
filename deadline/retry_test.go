package deadline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
)

// pushback is a failure that asks for a time before the next attempt.
type pushback time.Duration

func (p pushback) Error() string             { return fmt.Sprintf("busy for %v", time.Duration(p)) }
func (p pushback) RetryAfter() time.Duration { return time.Duration(p) }

func TestRetryReturnsTheFirstResult(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var seen []int
		v, err := deadline.Retry(ctx, deadline.RetryPolicy{}, func(_ context.Context, attempt int) (string, error) {
			seen = append(seen, attempt)
			if attempt < 3 {
				return "", errDown
			}
			return "up", nil
		})
		require.NoError(t, err)
		require.Equal(t, "up", v)
		require.Equal(t, []int{1, 2, 3}, seen)
		require.Zero(t, now())
	})
}

func TestRetryListsEveryAttempt(t *testing.T) {
	errs := []error{io.ErrNoProgress, io.ErrShortWrite, io.ErrUnexpectedEOF}
	v, err := deadline.Retry(t.Context(), deadline.RetryPolicy{}, func(_ context.Context, attempt int) (int, error) {
		return 7, errs[attempt-1]
	})
	require.Zero(t, v)
	require.Equal(t, &deadline.RetryError{Attempts: errs}, err)
	require.EqualError(t, err, "deadline: 3 attempts failed, the last: unexpected EOF")
	for _, e := range errs {
		require.ErrorIs(t, err, e)
	}
}

func TestRetryErrorsAsFindsTheReasonToStopThenTheLastAttempt(t *testing.T) {
	err := error(&deadline.RetryError{Attempts: []error{pushback(1), pushback(2)}})
	var p pushback
	require.ErrorAs(t, err, &p)
	require.Equal(t, pushback(2), p)

	err = &deadline.RetryError{Attempts: []error{&deadline.Error{Name: "attempt"}}, Stopped: &deadline.Error{Name: "request"}}
	var e *deadline.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "request", e.Name)
}

func TestRetryErrorTextCountsAttemptsAndSaysWhyItStopped(t *testing.T) {
	require.EqualError(t, &deadline.RetryError{Stopped: context.Canceled}, "deadline: no attempt made (stopped: context canceled)")
	require.EqualError(t, &deadline.RetryError{Attempts: []error{io.EOF}, Stopped: deadline.ErrBudget},
		"deadline: 1 attempt failed: EOF (stopped: deadline: retry budget spent)")
}

func TestRetryStopsAtAFatalError(t *testing.T) {
	p := deadline.RetryPolicy{Fatal: func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }}
	_, err := deadline.Retry(t.Context(), p, func(_ context.Context, attempt int) (int, error) {
		if attempt == 1 {
			return 0, errDown
		}
		return 0, io.ErrUnexpectedEOF
	})
	require.Equal(t, &deadline.RetryError{Attempts: []error{errDown, io.ErrUnexpectedEOF}}, err)
}

func TestRetryWaitsARandomPartOfAGrowingBound(t *testing.T) {
	bounds := []time.Duration{10 * ms, 30 * ms, 50 * ms, 50 * ms}
	low, high := make([]bool, len(bounds)), make([]bool, len(bounds))
	for range 60 {
		bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
			last := time.Duration(0)
			p := deadline.RetryPolicy{Attempts: 5, Initial: 10 * ms, Multiplier: 3, Max: 50 * ms}
			_, err := deadline.Retry(ctx, p, func(_ context.Context, attempt int) (int, error) {
				if attempt > 1 {
					i := attempt - 2
					wait := now() - last
					require.Less(t, wait, bounds[i])
					low[i] = low[i] || wait < bounds[i]/2
					high[i] = high[i] || wait >= bounds[i]/2
				}
				last = now()
				return 0, errDown
			})
			require.Error(t, err)
		})
	}
	require.NotContains(t, low, false)
	require.NotContains(t, high, false)
}

func TestRetryBoundsItsFirstWaitByMax(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		p := deadline.RetryPolicy{Attempts: 20, Initial: time.Hour, Max: ms}
		_, err := deadline.Retry(ctx, p, func(context.Context, int) (int, error) { return 0, errDown })
		require.Error(t, err)
		require.Less(t, now(), 20*ms)
	})
}

func TestRetryWaitsGrowWithoutOverflow(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		p := deadline.RetryPolicy{Attempts: 1000, Initial: 1, Multiplier: 1e6, Need: time.Nanosecond}
		_, err := deadline.Retry(ctx, p, func(context.Context, int) (int, error) { return 0, errDown })
		var e *deadline.RetryError
		require.ErrorAs(t, err, &e)
		require.ErrorIs(t, e.Stopped, context.DeadlineExceeded)
		require.Less(t, now(), time.Second)
	})
}

func TestRetryWaitsAsLongAsTheServiceAsks(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var at []time.Duration
		p := deadline.RetryPolicy{Attempts: 5, Initial: 10 * ms, Multiplier: 1e9, Max: time.Hour}
		_, err := deadline.Retry(ctx, p, func(_ context.Context, attempt int) (int, error) {
			at = append(at, now())
			if attempt == 2 || attempt == 3 {
				return 0, fmt.Errorf("call: %w", pushback(2*time.Hour))
			}
			return 0, errDown
		})
		require.Error(t, err)
		require.Less(t, at[1]-at[0], 10*ms)
		require.Equal(t, 2*time.Hour, at[2]-at[1])
		require.Equal(t, 2*time.Hour, at[3]-at[2])
		require.Less(t, at[4]-at[3], 10*ms) // the bound has begun again
	})
}

func TestRetryGivesUpWhenTheServiceAsksForThat(t *testing.T) {
	_, err := deadline.Retry(t.Context(), deadline.RetryPolicy{}, func(context.Context, int) (int, error) {
		return 0, pushback(-1)
	})
	require.Equal(t, &deadline.RetryError{Attempts: []error{pushback(-1)}}, err)
}

func TestRetryDoesNotWaitForAnAttemptThatCannotBeMade(t *testing.T) {
	for _, c := range []struct {
		ask, need time.Duration
		attempts  int
	}{
		{ask: 99 * ms, attempts: 2},
		{ask: 100 * ms, attempts: 1}, // would begin at the deadline
		{ask: math.MaxInt64, attempts: 1},
		{ask: math.MaxInt64, need: 20 * ms, attempts: 1},
		{ask: 80 * ms, need: 20 * ms, attempts: 2},
		{ask: 81 * ms, need: 20 * ms, attempts: 1},
	} {
		bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
			ctx, cancel := deadline.With(ctx, "request", 100*ms)
			defer cancel()
			n := 0
			_, err := deadline.Retry(ctx, deadline.RetryPolicy{Attempts: 2, Need: c.need}, func(context.Context, int) (int, error) {
				n++
				return 0, pushback(c.ask)
			})
			require.Equal(t, c.attempts, n, c)
			var e *deadline.RetryError
			require.ErrorAs(t, err, &e)
			if c.attempts == 1 {
				require.Zero(t, now())
				var why *deadline.Error
				require.ErrorAs(t, e.Stopped, &why)
				require.Equal(t, "request", why.Name)
				require.Contains(t, why.Error(), "100ms left")
			} else {
				require.Equal(t, c.ask, now())
				require.NoError(t, e.Stopped)
			}
		})
	}
}

func TestRetryMakesNoAttemptWithLessThanItNeeds(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "request", 10*ms)
		defer cancel()
		_, err := deadline.Retry(ctx, deadline.RetryPolicy{Need: 11 * ms}, func(context.Context, int) (int, error) { panic("called") })
		require.EqualError(t, err, "deadline: no attempt made (stopped: deadline: request: need 11ms, 10ms left)")
	})
}

func TestRetryStopsWaitingWhenItsCallerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := context.WithCancelCause(ctx)
		time.AfterFunc(30*ms, func() { cancel(io.ErrClosedPipe) })
		_, err := deadline.Retry(ctx, deadline.RetryPolicy{}, func(context.Context, int) (int, error) { return 0, pushback(time.Hour) })
		require.Equal(t, 30*ms, now())
		var e *deadline.RetryError
		require.ErrorAs(t, err, &e)
		require.Len(t, e.Attempts, 1)
		require.ErrorIs(t, e.Stopped, context.Canceled)
		require.ErrorIs(t, e.Stopped, io.ErrClosedPipe)
	})
}

func TestRetryStopsWhenTimeRunsOutInAnAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "request", 30*ms)
		defer cancel()
		_, err := deadline.Retry(ctx, deadline.RetryPolicy{}, func(ctx context.Context, _ int) (int, error) { return untilDone(ctx) })
		require.Equal(t, 30*ms, now())
		require.Equal(t, &deadline.RetryError{
			Attempts: []error{context.DeadlineExceeded},
			Stopped:  &deadline.Error{Name: "request", Limit: 30 * ms},
		}, err)
	})
}

func TestRetryLimitsEachAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "request", 50*ms)
		defer cancel()
		_, err := deadline.Retry(ctx, deadline.RetryPolicy{Attempts: 5, PerTry: 20 * ms}, func(ctx context.Context, _ int) (int, error) {
			return untilDone(ctx)
		})
		require.Equal(t, 50*ms, now())
		own := &deadline.Error{Name: "attempt", Limit: 20 * ms, Err: context.DeadlineExceeded}
		require.Equal(t, &deadline.RetryError{
			Attempts: []error{own, own, &deadline.Error{Name: "request", Limit: 50 * ms, Inherited: true, Err: context.DeadlineExceeded}},
			Stopped:  &deadline.Error{Name: "request", Limit: 50 * ms},
		}, err)
	})
}

func TestRetryLetsPanicsFly(t *testing.T) {
	require.PanicsWithValue(t, "boom", func() {
		_, _ = deadline.Retry(t.Context(), deadline.RetryPolicy{}, func(context.Context, int) (int, error) { panic("boom") })
	})
}

func TestRetryPanicsOnAnImpossiblePolicy(t *testing.T) {
	for text, p := range map[string]deadline.RetryPolicy{
		"deadline: RetryPolicy.Attempts is negative: -1":                   {Attempts: -1},
		"deadline: RetryPolicy.Initial is negative: -1s":                   {Initial: -time.Second},
		"deadline: RetryPolicy.Max is negative: -1s":                       {Max: -time.Second},
		"deadline: RetryPolicy.PerTry is negative: -1s":                    {PerTry: -time.Second},
		"deadline: RetryPolicy.Need is negative: -1s":                      {Need: -time.Second},
		"deadline: RetryPolicy.Multiplier is negative or not finite: -1":   {Multiplier: -1},
		"deadline: RetryPolicy.Multiplier is negative or not finite: NaN":  {Multiplier: math.NaN()},
		"deadline: RetryPolicy.Multiplier is negative or not finite: +Inf": {Multiplier: math.Inf(1)},
	} {
		require.PanicsWithValue(t, text, func() {
			_, _ = deadline.Retry(t.Context(), p, func(context.Context, int) (int, error) { return 0, nil })
		})
	}
}
