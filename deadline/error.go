package deadline

import (
	"context"
	"fmt"
	"time"
)

// Error says which time budget ran out. It is what [context.Cause] returns for a context that [With] and its relatives
// made once their time is over, and what [Do] and [Require] return. It is a timeout to everybody who asks: errors.Is
// finds [context.DeadlineExceeded] in it, and it implements net.Error, so that the *url.Error of an HTTP client, which
// asks the error itself and not what that wraps, reports a timeout too.
type Error struct {
	// Name is the name of the budget that ran out, empty for a deadline that this package did not set.
	Name string
	// Limit is what that budget was given when it was made, 0 for a deadline that this package did not set. It is less than
	// that if there was nothing left to give.
	Limit time.Duration
	// Inherited tells that the time which ran out was not the caller's own: an outer budget had less left, or the
	// deadline was set by something else.
	Inherited bool
	// Err is the failure that came of it, nil if nothing had been tried.
	Err error
}

// Error names the budget and its limit, if that was more than 0, followed by the failure unless that says nothing more.
func (e *Error) Error() string {
	text := "deadline: "
	if e.Name != "" {
		text += e.Name + ": "
	}
	if short, ok := e.Err.(*shortError); ok { //nolint:errorlint // deeper down it is not about this budget
		return text + short.Error()
	}
	if e.Limit > 0 {
		text += e.Limit.String() + " "
	}
	text += "exceeded"
	if e.Inherited {
		text += " (inherited)"
	}
	if e.Err != nil && e.Err != context.DeadlineExceeded { //nolint:errorlint // one that wraps it says more
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(e, context.DeadlineExceeded) hold.
func (e *Error) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout is true.
func (e *Error) Timeout() bool { return true }

// Temporary is true, as it is for context.DeadlineExceeded; a net.Error must have it.
func (e *Error) Temporary() bool { return true }

// wrap is e as the reason for err. An err that is itself the report of the same budget, as it is after calls of Do
// nested in one another, is not reported twice.
func (e *Error) wrap(err error) *Error {
	if inner, ok := err.(*Error); ok && inner.Name == e.Name && inner.Limit == e.Limit { //nolint:errorlint // what wraps it says more
		err = inner.Err
	}
	return &Error{Name: e.Name, Limit: e.Limit, Inherited: e.Inherited, Err: err}
}

// inherited is e as those see it who did not set that budget.
func (e *Error) inherited() *Error {
	return &Error{Name: e.Name, Limit: e.Limit, Inherited: true, Err: e.Err}
}

// shortError is the failure of something that was not tried because too little time was left for it.
type shortError struct{ need, left time.Duration }

func (e *shortError) Error() string { return fmt.Sprintf("need %v, %v left", e.need, e.left) }
