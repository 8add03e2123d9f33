package bench

import (
	"context"
	"testing"
	"time"

	"github.com/grove-go/grove/deadline"
)

// An Attempt is what is tried until it succeeds; attempts are counted from 1.
type Attempt func(ctx context.Context, attempt int) (int, error)

// A Retry makes up to three attempts, one right after the other, and returns the first result. If there is none, errors.Is
// finds the last failure in its error.
type Retry func(ctx context.Context, f Attempt) (int, error)

// A Hedge makes an attempt and, if there is no result after the delay with which the Hedge was made, another one beside
// it. It returns the first result and ends the context of the other attempt. If both fail, errors.Is finds the last
// failure in its error.
type Hedge func(ctx context.Context, f Attempt) (int, error)

func retries() []peer[Retry] {
	return []peer[Retry]{
		{Grove, groveRetry},
		{"failsafe", failsafeRetry()},
	}
}

// hedges are Grove's, which returns when both attempts have, and failsafe-go's, which leaves the other attempt behind.
// Grove starts the second attempt without the delay when the first has failed.
func hedges() []peer[func(delay time.Duration) Hedge] {
	return []peer[func(delay time.Duration) Hedge]{
		{Grove, groveHedge},
		{"failsafe", failsafeHedge},
	}
}

func groveRetry(ctx context.Context, f Attempt) (int, error) {
	return deadline.Retry(ctx, deadline.RetryPolicy{}, f)
}

func groveHedge(delay time.Duration) Hedge {
	return func(ctx context.Context, f Attempt) (int, error) {
		return deadline.Hedge(ctx, deadline.HedgePolicy{Delay: delay}, f)
	}
}

// attemptCases are calls whose first attempt succeeds, or whose second does when the first has failed or, as a hedge,
// while the first waits for its context to end. The second attempts of hedges start without delay: failsafe-go would
// keep to it.
func attemptCases() []Case {
	targets := []Target{{"failsafe", 0.99}}
	return []Case{
		{Name: "retry/succeeds=first", Impls: measure(retries(), benchAttempts(succeed)), Targets: targets},
		{Name: "retry/succeeds=second", Impls: measure(retries(), benchAttempts(failFirst)), Targets: targets},
		{Name: "hedge/succeeds=first", Impls: measure(hedges(), benchHedge(time.Hour, succeed)), Targets: targets},
		{Name: "hedge/succeeds=second/first=fails", Impls: measure(hedges(), benchHedge(0, failFirst)), Targets: targets},
		{Name: "hedge/succeeds=second/first=waits", Impls: measure(hedges(), benchHedge(0, waitFirst)), Targets: targets},
	}
}

func succeed(_ context.Context, attempt int) (int, error) { return attempt, nil }

func failFirst(_ context.Context, attempt int) (int, error) {
	if attempt == 1 {
		return 0, errFailed
	}
	return attempt, nil
}

func waitFirst(ctx context.Context, attempt int) (int, error) {
	if attempt == 1 {
		return 0, waitUntilDone(ctx)
	}
	return attempt, nil
}

// benchAttempts measures within a request that has a deadline.
func benchAttempts(f Attempt) func(b *testing.B, retry Retry) {
	return func(b *testing.B, retry Retry) {
		b.ReportAllocs()
		ctx, end := requestContext(2 * time.Hour)
		defer end()
		for b.Loop() {
			if _, err := retry(ctx, f); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchHedge(delay time.Duration, f Attempt) func(b *testing.B, hedge func(time.Duration) Hedge) {
	bench := benchAttempts(f)
	return func(b *testing.B, hedge func(time.Duration) Hedge) { bench(b, Retry(hedge(delay))) }
}
