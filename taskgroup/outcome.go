package taskgroup

import (
	"context"
	"runtime"
	"slices"
)

// outcome is what a group has to report. Group.mu guards it until the group is joined; after that it does not change.
type outcome struct {
	// cause is why the group ended, nil while it has not. It is recorded before the context is cancelled, so that
	// what a task does because of the cancellation cannot become the cause, and never replaced.
	cause error
	// parentErr is the parent's Err if its end was the cause.
	parentErr error

	failures                   []*TaskError
	dropped, canceled, skipped int

	panicked *PanicError   // the first panic that the owner has to take
	taken    chan struct{} // made with panicked, closed when the owner has taken it
	goexit   bool          // a task called runtime.Goexit, and the owner has to

	err *Error // the result of Wait, nil for none
}

// recordLocked returns the outcome to write to. Most groups have none.
func (g *Group) recordLocked() *outcome {
	if g.outcome == nil {
		g.outcome = new(outcome)
	}
	return g.outcome
}

// report records that a task, or the body, returned err. It reports whether it could: once somebody has joined the group,
// what a body comes to is too late for it.
func (g *Group) report(ctx context.Context, from origin, err error) bool {
	return g.record(from, err, g.isEcho(ctx, err))
}

// record is report when it has been decided whether err is an echo.
func (g *Group) record(from origin, err error, echo bool) bool {
	if !echo {
		return g.fail(from, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.joined {
		return false
	}
	g.recordLocked().canceled++
	return true
}

// fail records a failure, if it can, and cancels the group unless it keeps going.
func (g *Group) fail(from origin, err error) bool {
	e := g.failure(from, err)
	g.mu.Lock()
	if g.joined {
		g.mu.Unlock()
		return false
	}
	if o := g.recordLocked(); len(o.failures) < g.cfg.maxErrors {
		o.failures = append(o.failures, e)
	} else {
		o.dropped++
	}
	if !g.cfg.keepGoing {
		g.cancelLocked(err)
	}
	g.mu.Unlock()
	g.announce()
	return true
}

// cancelLocked ends the group unless it has ended. The caller has to call announce when it has released mu.
func (g *Group) cancelLocked(cause error) {
	if g.joined {
		return
	}
	o := g.recordLocked()
	if o.cause != nil {
		return
	}
	if err := g.parent.Err(); err != nil || !g.stopped.CompareAndSwap(nil, g.cancelError(cause)) {
		o.cause, o.parentErr = context.Cause(g.parent), g.parent.Err()
	} else {
		o.cause = cause
	}
	if g.watch != nil {
		g.watch.canceledLocked()
	}
	g.skipQueueLocked()
}

// announce tells the context what was decided under mu. Contexts run code that is not ours when they are cancelled, so
// mu must be free.
func (g *Group) announce() {
	if !g.made.Load() {
		return
	}
	if stopped := g.stoppedBy(); stopped != nil {
		g.real.cancel(stopped)
	} else if g.stopped.Load() != nil {
		g.real.cancel(context.Cause(g.parent)) // a parent that is not of package context may take its time
	}
}

func (g *Group) cancelError(cause error) *CancelError {
	if cause == ErrStopped { //nolint:errorlint // the cause itself, and not an error about it
		return g.stoppedError()
	}
	return &CancelError{Group: g.cfg.name, Cause: cause}
}

// stoppedError is the CancelError of a group that was stopped or joined.
func (g *Group) stoppedError() *CancelError {
	if g.cfg.name == "" {
		return namelessStop
	}
	return &CancelError{Group: g.cfg.name, Cause: ErrStopped}
}

var namelessStop = &CancelError{Cause: ErrStopped}

// settleLocked joins the group: it makes the result out of what was recorded. Nothing runs any more.
func (g *Group) settleLocked() {
	parentErr := g.parent.Err()
	if parentErr != nil && g.watch != nil {
		g.watch.canceledLocked() // should it not have been noticed
	}
	if o := g.outcome; o != nil {
		if o.cause == nil && parentErr != nil {
			o.cause, o.parentErr = context.Cause(g.parent), parentErr
		}
		if o.taken != nil {
			close(o.taken)
		}
		o.settle(g.cfg.name)
	}
	// announce then releases what is registered with the parent.
	end := endOfParent
	if parentErr == nil {
		end = g.stoppedError()
	}
	g.stopped.CompareAndSwap(nil, end)
	g.joined = true
	if g.done != nil {
		close(g.done)
	}
}

// lateFailure adds the failure of a body to what the group has come to, which somebody has joined already.
func (g *Group) lateFailure(from origin, err error) error {
	e := Error{Group: g.cfg.name, Cause: err}
	if g.stopped.Load() == endOfParent {
		e.Cause, e.parentErr = context.Cause(g.parent), g.parent.Err()
	}
	if soFar, ok := g.outcome.deliver().(*Error); ok { //nolint:errorlint // it is one, or nil
		if err == error(soFar) { //nolint:errorlint // what Wait returned, passed on, and nothing besides
			return err
		}
		e = *soFar
	}
	if len(e.Tasks) < g.cfg.maxErrors {
		e.Tasks = append(slices.Clip(e.Tasks), g.failure(from, err))
	} else {
		e.Dropped++
	}
	return &e
}

// settle decides what the group returns.
func (o *outcome) settle(name string) {
	var report bool
	switch {
	case len(o.failures) > 0:
		report = true
	case o.parentErr != nil:
		report = o.canceled > 0 || o.skipped > 0 // else the work is complete, and nobody noticed
	default:
		report = o.cause != nil && o.cause != ErrStopped //nolint:errorlint // the cause itself
	}
	if !report {
		return
	}
	if o.cause == nil { // failures of a group that kept going
		o.cause = o.failures[0].Err
	}
	o.err = &Error{
		Group: name, Cause: o.cause, Tasks: o.failures,
		Dropped: o.dropped, Canceled: o.canceled, Skipped: o.skipped,
		parentErr: o.parentErr,
	}
}

// deliver hands the outcome to the owner.
func (o *outcome) deliver() error {
	switch {
	case o == nil:
		return nil
	case o.panicked != nil:
		panic(o.panicked.Rethrown())
	case o.goexit:
		runtime.Goexit()
	case o.err == nil:
		return nil
	}
	return o.err
}

// result is how the group ended, as one error. A nil outcome is a success.
func (o *outcome) result() error {
	switch {
	case o == nil:
		return nil
	case o.panicked != nil:
		return o.panicked
	case o.goexit:
		return ErrGoexit
	case o.err == nil:
		return nil
	}
	return o.err
}
