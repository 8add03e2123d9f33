package taskgroup

import (
	"context"
	"reflect"
	"slices"
)

// isEcho reports whether err, which a task with the context ctx has just returned, says nothing but that ctx had been
// cancelled. Such an error tells the group nothing that it did not know.
//
// The context is asked first: context.Canceled from a task whose own context is alive came from elsewhere, and is a
// failure like any other.
func (g *Group) isEcho(ctx context.Context, err error) bool {
	ctxErr := ctx.Err()
	return ctxErr != nil && g.saysOnly(err, ctxErr, context.Cause(ctx))
}

// saysOnly walks the tree of err, in which every leaf has to be an echo. errors.Is will not do: it is satisfied when
// one leaf is.
func (g *Group) saysOnly(err, ctxErr, cause error) bool {
	targets := [...]error{ctxErr, cause, context.Canceled}
	for _, target := range targets {
		if reflect.ValueOf(target).Comparable() && err == target { //nolint:errorlint // errors.Is compares so, too
			return true
		}
	}
	switch e := err.(type) { //nolint:errorlint // this is the walk along the tree
	case *PanicError:
		return false // whatever it panicked with
	case *CancelError: // of another group: it says why that ended
		return e.Cause == ErrStopped || g.saysOnly(e.Cause, ctxErr, cause) //nolint:errorlint // the cause itself
	case *Error:
		if len(e.Tasks) > 0 || e.Dropped > 0 {
			return false // failures in a group below this one
		}
	}
	if tree, ok := err.(interface{ Unwrap() []error }); ok {
		parts := slices.DeleteFunc(slices.Clone(tree.Unwrap()), func(part error) bool { return part == nil })
		notEcho := func(part error) bool { return !g.saysOnly(part, ctxErr, cause) }
		return len(parts) > 0 && !slices.ContainsFunc(parts, notEcho)
	}
	if e, ok := err.(interface{ Is(error) bool }); ok && slices.ContainsFunc(targets[:], e.Is) {
		return true
	}
	if g.cfg.echo != nil && g.cfg.echo(err) {
		return true
	}
	if wrapper, ok := err.(interface{ Unwrap() error }); ok {
		if part := wrapper.Unwrap(); part != nil {
			return g.saysOnly(part, ctxErr, cause)
		}
	}
	return false
}
