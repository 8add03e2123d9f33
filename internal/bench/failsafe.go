package bench

import (
	"context"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

// failsafeRetry counts attempts itself and keeps to the request's context: asking the library for them costs it a copy of
// its state for each attempt.
func failsafeRetry() Retry {
	executor := failsafe.With(retrypolicy.NewBuilder[int]().WithMaxAttempts(3).Build())
	return func(ctx context.Context, f Attempt) (int, error) {
		attempt := 0
		return executor.WithContext(ctx).Get(func() (int, error) {
			attempt++
			return f(ctx, attempt)
		})
	}
}

// failsafeHedge lets a result end the other attempt; by default a failure would too. The library's count of attempts is
// shared by those that run, so it does not tell them apart, but IsHedge does.
func failsafeHedge(delay time.Duration) Hedge {
	policy := hedgepolicy.NewBuilderWithDelay[int](delay).
		CancelIf(func(_ int, err error) bool { return err == nil }).
		Build()
	executor := failsafe.With(policy)
	return func(ctx context.Context, f Attempt) (int, error) {
		return executor.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[int]) (int, error) {
			attempt := 1
			if e.IsHedge() {
				attempt = 2
			}
			return f(e.Context(), attempt)
		})
	}
}
