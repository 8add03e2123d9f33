package deadline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// ErrBudget is the reason, in [RetryError.Stopped], that the [Budget] refused another attempt.
var ErrBudget = errors.New("deadline: retry budget spent")

// RetryError is what [Retry], [Hedge] and [HedgeHeld] return when no attempt succeeded, always, whether there was one
// or many.
type RetryError struct {
	// Attempts holds the errors of the attempts in the order in which they failed, without those that Hedge cancelled
	// itself. It is empty if there was no time for even one.
	Attempts []error
	// Stopped is why no further attempt was made: ErrBudget, an *Error if time had run out or too little was left, or
	// the reason for which ctx was cancelled. It is nil if ctx goes on and the policy allows no more, or if the last
	// failure was fatal or asked not to be retried.
	Stopped error
}

// Error counts the attempts and quotes the last one and the reason to stop.
func (e *RetryError) Error() string {
	var text string
	switch n := len(e.Attempts); n {
	case 0:
		text = "deadline: no attempt made"
	case 1:
		text = fmt.Sprintf("deadline: 1 attempt failed: %v", e.Attempts[0])
	default:
		text = fmt.Sprintf("deadline: %d attempts failed, the last: %v", n, e.Attempts[n-1])
	}
	if e.Stopped != nil {
		text += fmt.Sprintf(" (stopped: %v)", e.Stopped)
	}
	return text
}

// Unwrap returns Stopped, if there is one, and then the attempts, the last one first: where several errors are of a
// type, errors.As finds the one that tells most about how the call ended.
func (e *RetryError) Unwrap() []error {
	errs := make([]error, 0, len(e.Attempts)+1)
	if e.Stopped != nil {
		errs = append(errs, e.Stopped)
	}
	for _, err := range slices.Backward(e.Attempts) {
		errs = append(errs, err)
	}
	return errs
}

// rules are what Retry and Hedge agree on.
type rules struct {
	attempts int
	need     time.Duration
	fatal    func(error) bool
	budget   *Budget
}

func (r *rules) isFatal(err error) bool { return r.fatal != nil && r.fatal(err) }

// afterFailure decides what follows a failure that was not fatal, the last of so many attempts, if the next is to wait
// that long, or, with a negative wait, not to be made. It returns true if there is to be one; otherwise why not, or nil
// if nothing is in the way but the policy or that wait.
func (r *rules) afterFailure(ctx context.Context, made int, wait time.Duration) (more bool, why error) {
	if why := ended(ctx); why != nil {
		return false, why // says nothing about the service, so nothing about the budget
	}
	r.budget.failed()
	if made >= r.attempts || wait < 0 {
		return false, nil
	}
	why = r.refuse(ctx, wait)
	return why == nil, why
}

// refuse says why there can be no further attempt after waiting that long.
func (r *rules) refuse(ctx context.Context, wait time.Duration) error {
	need := max(r.need, 1) // an attempt that begins at the deadline is too late, whatever it needs
	if err := Require(ctx, need+min(wait, math.MaxInt64-need)); err != nil {
		return err
	}
	if !r.budget.allows() {
		return ErrBudget
	}
	return nil
}

// pushback is how long the failed service asks to wait before the next attempt, negative if there should be none.
func pushback(err error) (time.Duration, bool) {
	var p interface{ RetryAfter() time.Duration }
	if errors.As(err, &p) {
		return p.RetryAfter(), true
	}
	return 0, false
}

// notNegative panics if a policy's field is.
func notNegative[N int | time.Duration](field string, n N) {
	if n < 0 {
		panic(fmt.Sprintf("deadline: %s is negative: %v", field, n))
	}
}
