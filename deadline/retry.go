package deadline

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// RetryPolicy says how often and when [Retry] tries again. The zero policy makes three attempts, one right after the
// other.
type RetryPolicy struct {
	// Attempts is how many attempts are made at most, the first included; 0 means 3.
	Attempts int
	// Initial bounds the wait after the first failure. Each wait is a random part of its bound ("full jitter"), so that
	// callers who failed together do not come back together. 0 means not to wait.
	Initial time.Duration
	// Max bounds all waits; 0 means that nothing does.
	Max time.Duration
	// Multiplier is by how much the bound grows from one wait to the next; 0 means 2.
	Multiplier float64
	// PerTry limits each attempt, as by [Do] with the name "attempt"; 0 means that an attempt may use all the time
	// there is.
	PerTry time.Duration
	// Need is how long an attempt takes that has a chance: none is started with less time left.
	Need time.Duration
	// Fatal tells the errors that another attempt would not mend; nil means that there are none.
	Fatal func(error) bool
	// Budget is shared by all calls to the same service; nil means that retries are not rationed.
	Budget *Budget
}

// Retry calls f, which gets the number of the attempt, counted from 1, until it succeeds, and returns its result.
// Otherwise it returns a [*RetryError] after the first failure that the policy's Fatal names, after the last attempt
// that the policy allows, when the Budget is spent, when ctx has ended, and as soon as the time left is shorter than
// the next wait and the policy's Need together: it never waits for an attempt that it could not make. If ctx has ended
// already, or leaves less than Need, f is not called.
//
// An error with a method RetryAfter() time.Duration, found by errors.As, takes the place of the next wait, Max
// notwithstanding, and the waits begin again with Initial after it; a negative duration means not to try again.
//
// Each attempt that fails takes a token from the Budget, except fatal failures and those after the end of ctx, which
// tell nothing about the service.
//
// f runs on the caller's goroutine, so a panic in it or runtime.Goexit is the caller's. With PerTry, the context of an
// attempt ends when f returns, and what f returns must not depend on it. A first attempt that succeeds costs no
// allocation (BenchmarkRetry).
//
// Retry panics if the policy has a negative field.
func Retry[T any](ctx context.Context, p RetryPolicy, f func(ctx context.Context, attempt int) (T, error)) (T, error) {
	w := newWaits(&p)
	var failed []error
	var stopped error
	for n := 1; ; n++ {
		if stopped = Require(ctx, p.Need); stopped != nil {
			break
		}
		v, err := try(ctx, p.PerTry, n, f)
		if err == nil {
			p.Budget.succeeded()
			return v, nil
		}
		failed = append(failed, err)
		if w.isFatal(err) {
			break
		}
		wait := w.next(err)
		more, why := w.afterFailure(ctx, n, wait)
		if !more {
			stopped = why
			break
		}
		sleep(ctx, wait)
	}
	var none T
	return none, &RetryError{Attempts: failed, Stopped: stopped}
}

func try[T any](ctx context.Context, limit time.Duration, n int, f func(context.Context, int) (T, error)) (T, error) {
	if limit == 0 {
		return f(ctx, n)
	}
	return Do(ctx, "attempt", limit, func(ctx context.Context) (T, error) { return f(ctx, n) })
}

// sleep returns after d or when ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// waits are the rules of a Retry and the bound of its next wait.
type waits struct {
	rules
	initial, bound, max, multiplier float64
}

func newWaits(p *RetryPolicy) waits {
	notNegative("RetryPolicy.Attempts", p.Attempts)
	notNegative("RetryPolicy.Initial", p.Initial)
	notNegative("RetryPolicy.Max", p.Max)
	notNegative("RetryPolicy.PerTry", p.PerTry)
	notNegative("RetryPolicy.Need", p.Need)
	if !(p.Multiplier >= 0 && p.Multiplier <= math.MaxFloat64) { // true for NaN
		panic(fmt.Sprintf("deadline: RetryPolicy.Multiplier is negative or not finite: %v", p.Multiplier))
	}
	w := waits{
		rules:      rules{attempts: p.Attempts, need: p.Need, fatal: p.Fatal, budget: p.Budget},
		initial:    float64(p.Initial),
		max:        float64(p.Max),
		multiplier: p.Multiplier,
	}
	if w.attempts == 0 {
		w.attempts = 3
	}
	if w.max == 0 {
		w.max = math.MaxInt64
	}
	if w.multiplier == 0 {
		w.multiplier = 2
	}
	w.bound = min(w.initial, w.max)
	return w
}

// next is how long to wait after that failure.
func (w *waits) next(err error) time.Duration {
	if wait, asked := pushback(err); asked {
		w.bound = min(w.initial, w.max)
		return wait
	}
	wait := time.Duration(rand.Float64() * w.bound)
	w.bound = min(w.bound*w.multiplier, w.max)
	return wait
}
