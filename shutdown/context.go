package shutdown

import (
	"context"
	"errors"
	"slices"
)

// ErrStopping is what [App.Track] returns once no more work is accepted, and the cause that [context.Cause] gives for
// the end of a component's context.
var ErrStopping = errors.New("shutdown: stopping")

type appKey struct{}

// Stopping returns a channel that is closed as soon as the app is asked to stop. It is for loops that only wait: ctx
// itself stays alive, so that work in hand can be finished. The context may be that of any hook, that of a request
// served by [HTTP], or derived from one; for any other the channel is nil, which is never ready.
func Stopping(ctx context.Context) <-chan struct{} {
	if a, ok := ctx.Value(appKey{}).(*App); ok {
		return a.stopping
	}
	return nil
}

// Context returns ctx with what [Stopping] looks for. It is for servers that make the contexts of their requests themselves,
// as [GRPC] says. It does not make [App.Track] accept what comes from a request in flight.
func (a *App) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, appKey{}, a)
}

// isEcho reports whether err says nothing but that a context has ended which the app ended itself. errors.Is alone
// would be satisfied by one part of a joined error that has others.
func isEcho(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return false // the app cancels: where time ran out, something else failed, whatever came of that
	}
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand
	case *PanicError, *Report:
		return false // whatever it panicked with, and whatever went wrong in an app within this one
	case interface{ Unwrap() []error }:
		if parts := e.Unwrap(); len(parts) > 0 {
			return !slices.ContainsFunc(parts, func(part error) bool { return !isEcho(part) })
		}
	case interface{ Unwrap() error }:
		if part := e.Unwrap(); part != nil {
			return isEcho(part)
		}
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, ErrStopping)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
