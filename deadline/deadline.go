package deadline

import (
	"context"
	"fmt"
	"time"
)

// budgetCtx is a context whose time this package limits. The context inside is one of package context and does all the
// work; this one only lets Cause tell whose time it was that ran out. It holds the Error rather than a pointer to one
// to be a single object; the price is that an Error that is kept keeps its context from being collected.
type budgetCtx struct {
	context.Context
	own    Error           // the cause with which the context inside ends when its own time is over
	parent context.Context // what the context inside is derived from
}

// inheritedCtx is a budget that sets no deadline because its parent's is not later: all time that can run out is
// inherited.
type inheritedCtx struct {
	context.Context
	parent context.Context
}

type budgetKey struct{}

// Value is how a budget is found beneath contexts derived from it. Everything else is looked up further down, so that
// package context finds its own contexts inside and needs no goroutine to cancel children of a budgetCtx.
func (b *budgetCtx) Value(key any) any {
	if key == (budgetKey{}) {
		return b
	}
	return b.Context.Value(key)
}

func (i *inheritedCtx) Value(key any) any {
	if key == (budgetKey{}) {
		return i
	}
	return i.Context.Value(key)
}

// String keeps fmt from reading, by reflection, memory that other goroutines write to.
func (b *budgetCtx) String() string { return fmt.Sprintf("%v[%s]", b.Context, b.own.Name) }

func (i *inheritedCtx) String() string { return fmt.Sprint(i.Context) }

// budgetOf returns the innermost budget with a deadline of its own that ctx is within, which is the earliest of those
// that this package set, and whether ctx has inherited it through a budget without one. It returns nil if there is
// none. It goes by values, which a context keeps that context.WithoutCancel has detached from the budget.
func budgetOf(ctx context.Context) (b *budgetCtx, inherited bool) {
	for {
		switch found := ctx.Value(budgetKey{}).(type) {
		case *budgetCtx:
			return found, inherited
		case *inheritedCtx:
			ctx, inherited = found.Context, true
		default:
			return nil, false
		}
	}
}

func (b *budgetCtx) isOwn(e *Error) bool { return b != nil && &b.own == e }

// endsOf tells whether ctx, whose cause is e, is known to have ended with the budget whose own e is: what has the Done
// channel of a budget ends with it, and a budget with the cause of another has it from its parent.
func endsOf(ctx context.Context, e *Error) bool {
	switch b := ctx.Value(budgetKey{}).(type) {
	case *budgetCtx:
		return b.Done() == ctx.Done() && (b.isOwn(e) || endsOf(b.parent, e))
	case *inheritedCtx:
		return b.Done() == ctx.Done() && endsOf(b.parent, e)
	default:
		return false
	}
}

// With returns a context that ends d from now at the latest. If it ends because d is over, its cause is an [*Error]
// with this name; if the parent ends first, its cause is the parent's. A parent with a deadline not later than that
// stays in charge: no timer is set, and what [Cause] and [Do] report then is Inherited. A d of zero or less gives a
// context that has ended already.
//
// Call cancel as soon as the work is done: it ends the context with context.Canceled and stops the timer.
//
// With costs what context.WithTimeoutCause does and one small object (BenchmarkWith).
func With(ctx context.Context, name string, d time.Duration) (context.Context, context.CancelFunc) {
	return until(ctx, time.Now().Add(d), name, d)
}

// until is With for a point in time, which lies limit from now.
func until(parent context.Context, t time.Time, name string, limit time.Duration) (context.Context, context.CancelFunc) {
	if theirs, ok := parent.Deadline(); ok && !theirs.After(t) {
		return unlimited(parent)
	}
	b := &budgetCtx{own: Error{Name: name, Limit: limit}, parent: parent}
	var cancel context.CancelFunc
	b.Context, cancel = context.WithDeadlineCause(parent, t, &b.own)
	return b, cancel
}

// unlimited is a budget that has as much time as its parent.
func unlimited(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	return &inheritedCtx{ctx, parent}, cancel
}

// Do calls f with a context that [With] makes, waits for it, and returns what it returned. It never leaves f behind: an
// f that ignores its context holds Do up for as long as it likes.
//
// A result is a result, however late it comes. An error that f returns when time is over, by the clock or because the
// context has ended for that reason, comes back in an [*Error] that names the budget to blame: this one, or, with
// Inherited set, the outer one that had less left. If the context was cancelled instead, and while there is time left,
// the error comes back as it is.
//
// If ctx has ended or d is zero or less, f is not called. The error is then an *Error if it was time that ran out;
// otherwise errors.Is finds both ctx.Err() and the cause of ctx in it.
//
// f runs on the caller's goroutine, so a panic in it or runtime.Goexit is the caller's. Its context ends when Do
// returns: what f returns must not depend on it. The cost over f's is that of With (BenchmarkDo).
func Do[T any](ctx context.Context, name string, d time.Duration, f func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := With(ctx, name, d)
	defer cancel()
	if err := ended(ctx); err != nil {
		var none T
		return none, err
	}
	v, err := f(ctx)
	if err == nil {
		return v, nil
	}
	if e, ok := expired(ctx); ok {
		return v, e.wrap(err)
	}
	return v, err
}

// Cause returns the budget that ended ctx, and false if ctx has not ended or was cancelled rather than out of time.
// Inherited is set on it unless the budget is the closest to ctx of those that it is within. A deadline that this
// package did not set gives an Error without a name, with Inherited set and with the cause that its maker gave it, if
// any, as Err.
//
// A context whose Err is context.Canceled was cancelled, whatever its cause: a group may be cancelled because a task of
// it returned an *Error, and a context that outlives a budget may be cancelled with the cause of that. The exception is
// a [Linger] that ends so when its time is over. Cause tells this for its own context, for values added to it, and for
// budgets made of these, but not for contexts that package context derives from them with a cancel of their own.
func Cause(ctx context.Context) (*Error, bool) {
	over := ctx.Err() == context.DeadlineExceeded // asked first: a context that has an Err has its cause
	cause := context.Cause(ctx)
	//nolint:errorlint // what a cause wraps may be a sibling's
	if e, ok := cause.(*Error); ok && (over || endsOf(ctx, e)) {
		b, inherited := budgetOf(ctx)
		if b.isOwn(e) && !inherited && (!over || sameDeadline(b, ctx)) {
			return e, true
		}
		return e.inherited(), true
	}
	if !over {
		return nil, false
	}
	if cause == context.DeadlineExceeded { //nolint:errorlint // one that says more is kept
		cause = nil
	}
	return &Error{Inherited: true, Err: cause}, true
}

// Remaining returns the time until ctx's deadline, negative once that has passed, and false if ctx has none. It says
// nothing about whether ctx was cancelled.
func Remaining(ctx context.Context) (time.Duration, bool) {
	t, ok := ctx.Deadline()
	if !ok {
		return 0, false
	}
	return time.Until(t), true
}

// Require returns nil if ctx has not ended and has at least need left, which is always so without a deadline. Otherwise
// it returns, at once, an [*Error] that says "need 50ms, 3ms left", or, for a ctx that was cancelled, an error in which
// errors.Is finds ctx.Err() and the cause. Ask before starting what could not be finished in time.
func Require(ctx context.Context, need time.Duration) error {
	left, ok := Remaining(ctx) // asked first, as in expired
	if err := ended(ctx); err != nil {
		return err
	}
	if ok && left < need {
		return inCharge(ctx).wrap(&shortError{need, left})
	}
	return nil
}

// ended is nil as long as ctx has neither ended nor passed its deadline. Otherwise it is the *Error of the budget that
// ran out or, for a cancelled ctx, an error in which errors.Is finds ctx.Err() and the cause.
func ended(ctx context.Context) error {
	err := ctx.Err() // asked first, and once: if it is not nil, what follows is final
	if e, ok := expired(ctx); ok {
		return e
	}
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != err { //nolint:errorlint // one that wraps it says more
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// expired is Cause, except that a ctx whose deadline has passed counts as out of time even if its timer has yet to run:
// the same moment may have reached a socket's deadline before.
func expired(ctx context.Context) (*Error, bool) {
	left, ok := Remaining(ctx) // asked first: what has no Err after its deadline was not cancelled before
	if ctx.Err() != nil {
		return Cause(ctx)
	}
	if ok && left <= 0 {
		return inCharge(ctx), true
	}
	return nil, false
}

// inCharge is the budget whose deadline is the one that ctx reports, or an Error without a name if some other context
// set that.
func inCharge(ctx context.Context) *Error {
	b, inherited := budgetOf(ctx)
	if b == nil || !sameDeadline(b, ctx) {
		return &Error{Inherited: true}
	}
	if inherited {
		return b.own.inherited()
	}
	return &b.own
}

func sameDeadline(a, b context.Context) bool {
	ta, oka := a.Deadline()
	tb, okb := b.Deadline()
	return oka && okb && ta.Equal(tb)
}
