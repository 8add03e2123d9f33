package deadline_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
)

var errDown = errors.New("service down")

// fail makes n calls that fail and succeed makes n that do not.
func fail(t *testing.T, b *deadline.Budget, n int) {
	for range n {
		_, err := deadline.Retry(t.Context(), deadline.RetryPolicy{Attempts: 1, Budget: b}, func(context.Context, int) (int, error) {
			return 0, errDown
		})
		require.ErrorIs(t, err, errDown)
	}
}

func succeed(t *testing.T, b *deadline.Budget, n int) {
	for range n {
		_, err := deadline.Retry(t.Context(), deadline.RetryPolicy{Budget: b}, func(context.Context, int) (int, error) {
			return 0, nil
		})
		require.NoError(t, err)
	}
}

func attempts(t *testing.T, b *deadline.Budget) int {
	n := 0
	_, err := deadline.Retry(t.Context(), deadline.RetryPolicy{Attempts: 2, Budget: b}, func(context.Context, int) (int, error) {
		n++
		return 0, errDown
	})
	require.Error(t, err)
	return n
}

func TestBudgetAllowsAttemptsWhileMoreThanHalfFull(t *testing.T) {
	b := deadline.NewBudget(10, 0.1)
	fail(t, b, 3)
	require.Equal(t, 2, attempts(t, b)) // at 6 tokens after the first failure
	require.Equal(t, 1, attempts(t, b)) // at 4
	succeed(t, b, 20)
	require.Equal(t, int64(6e6), b.Tokens())
	require.Equal(t, 1, attempts(t, b)) // at 5, which is not more than half
	succeed(t, b, 11)
	require.Equal(t, 2, attempts(t, b)) // at 5.1
}

func TestBudgetIsNeverOverfullNorBelowEmpty(t *testing.T) {
	b := deadline.NewBudget(2, 0.25)
	succeed(t, b, 3)
	require.Equal(t, int64(2e6), b.Tokens())
	fail(t, b, 3)
	require.Zero(t, b.Tokens())
	succeed(t, b, 1)
	require.Equal(t, int64(25e4), b.Tokens())
}

func TestBudgetLosesNoTokenToConcurrentCalls(t *testing.T) {
	b := deadline.NewBudget(1e6, 1)
	concurrently := func(calls func(*testing.T, *deadline.Budget, int)) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { calls(t, b, 100) })
		}
		wg.Wait()
	}
	concurrently(fail)
	require.Equal(t, int64(1e12-800e6), b.Tokens())
	concurrently(succeed)
	require.Equal(t, int64(1e12), b.Tokens())
}

func TestNewBudgetRejectsWhatCannotWork(t *testing.T) {
	for _, c := range []struct {
		max   int
		ratio float64
	}{{0, 0.1}, {-1, 0.1}, {1e9 + 1, 0.1}, {10, 0}, {10, -1}, {10, 1e-7}, {10, 10.5}, {10, math.NaN()}, {10, math.Inf(1)}} {
		require.Panics(t, func() { deadline.NewBudget(c.max, c.ratio) }, c)
	}
	require.PanicsWithValue(t, "deadline: NewBudget of 0 tokens, which is not in [1, 1e9]", func() { deadline.NewBudget(0, 0.1) })
	require.PanicsWithValue(t, "deadline: NewBudget with ratio 0, which is not in (0, 10]", func() { deadline.NewBudget(10, 0) })
	require.Equal(t, int64(1e15), deadline.NewBudget(1e9, 1e-6).Tokens())
}

func TestBudgetIsNotChargedForWhatTellsNothingAboutTheService(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		b := deadline.NewBudget(10, 0.1)
		_, err := deadline.Retry(ctx, deadline.RetryPolicy{Budget: b, Fatal: func(error) bool { return true }},
			func(context.Context, int) (int, error) { return 0, errDown })
		require.Error(t, err)

		ctx, cancel := context.WithTimeout(ctx, 10*ms)
		defer cancel()
		_, err = deadline.Retry(ctx, deadline.RetryPolicy{Budget: b},
			func(ctx context.Context, _ int) (int, error) { return untilDone(ctx) })
		require.Error(t, err)
		require.Equal(t, int64(10e6), b.Tokens())
	})
}
