package deadline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/grove-go/grove/deadline"
)

var errSlow = errors.New("too slow")

// BenchmarkWith makes and cancels a context whose time does not run out, under parents of three kinds.
func BenchmarkWith(b *testing.B) {
	cancelled, stop := context.WithCancel(b.Context())
	defer stop()
	shorter, stopShorter := context.WithTimeout(context.Background(), time.Minute)
	defer stopShorter()
	for _, parent := range []struct {
		name string
		ctx  context.Context
	}{{"background", context.Background()}, {"cancel", cancelled}, {"shorter", shorter}} {
		b.Run("parent="+parent.name+"/impl=deadline", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, cancel := deadline.With(parent.ctx, "call", time.Hour)
				cancel()
			}
		})
		b.Run("parent="+parent.name+"/impl=context", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, cancel := context.WithTimeoutCause(parent.ctx, time.Hour, errSlow)
				cancel()
			}
		})
	}
}

func quick(context.Context) (int, error) { return 1, nil }

func quickAttempt(context.Context, int) (int, error) { return 1, nil }

func byHand(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Hour, errSlow)
	defer cancel()
	v, err := quick(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errSlow) {
		return 0, errors.Join(err, errSlow)
	}
	return v, err
}

// BenchmarkDo calls a function that returns at once, within a request's deadline, as Do does it and by hand.
func BenchmarkDo(b *testing.B) {
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Hour)
	defer stop()
	b.Run("impl=deadline", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = deadline.Do(ctx, "call", time.Hour, quick)
		}
	})
	b.Run("impl=context", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = byHand(ctx)
		}
	})
}

// BenchmarkRetry calls a function that succeeds at the first attempt, or at the second without a wait.
func BenchmarkRetry(b *testing.B) {
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Hour)
	defer stop()
	budget := deadline.NewBudget(10, 0.1)
	b.Run("attempts=1", func(b *testing.B) {
		p := deadline.RetryPolicy{Initial: time.Millisecond, Budget: budget}
		b.ReportAllocs()
		for b.Loop() {
			_, _ = deadline.Retry(ctx, p, quickAttempt)
		}
	})
	b.Run("attempts=1/pertry=true", func(b *testing.B) {
		p := deadline.RetryPolicy{Initial: time.Millisecond, PerTry: time.Hour, Budget: budget}
		b.ReportAllocs()
		for b.Loop() {
			_, _ = deadline.Retry(ctx, p, quickAttempt)
		}
	})
	b.Run("attempts=2", func(b *testing.B) {
		second := func(_ context.Context, attempt int) (int, error) {
			if attempt == 1 {
				return 0, errDown
			}
			return 1, nil
		}
		b.ReportAllocs()
		for b.Loop() {
			_, _ = deadline.Retry(ctx, deadline.RetryPolicy{}, second)
		}
	})
}

// BenchmarkHedge calls a function that succeeds at the first attempt, or only at the second, which starts as soon as
// the first has failed.
func BenchmarkHedge(b *testing.B) {
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Hour)
	defer stop()
	budget := deadline.NewBudget(10, 0.1)
	b.Run("attempts=1", func(b *testing.B) {
		p := deadline.HedgePolicy{Delay: time.Hour, Budget: budget}
		b.ReportAllocs()
		for b.Loop() {
			_, _ = deadline.Hedge(ctx, p, quickAttempt)
		}
	})
	b.Run("attempts=2", func(b *testing.B) {
		second := func(_ context.Context, attempt int) (int, error) {
			if attempt == 1 {
				return 0, errDown
			}
			return 1, nil
		}
		b.ReportAllocs()
		for b.Loop() {
			_, _ = deadline.Hedge(ctx, deadline.HedgePolicy{Delay: time.Hour}, second)
		}
	})
}
