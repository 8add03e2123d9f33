package executor

import (
	"context"
	"sync/atomic"
)

// callContext is the ctx that fn gets: the caller's, which ends also when fn returns and when Drain gives up. Every
// call has a new one, so that one left behind stays ended.
type callContext struct {
	context.Context // the caller's
	slot            *slot

	// scope is nil while the caller's ctx says all there is to say, returned when fn has returned without anybody
	// asking for more, and otherwise the cancel context that says it.
	scope atomic.Pointer[scope]
}

// slot is what a call knows of its slot. All calls of a pool share one, except those that count as their key's.
type slot struct {
	pool   *Pool
	tenant *tenant // whose running calls this one counts as, nil if nobody's
}

// scope is what most calls do not need: a cancel context, and the calls nested in this one.
type scope struct {
	context.Context
	cancel context.CancelCauseFunc

	// Guarded by Pool.mu. Invariant: calls wait only while one has the turn.
	up       *scope // the call in whose slot this one runs, nil if it has one of its own
	own      *callContext
	stuck    int  // calls in this slot that are stuck, for Pool.stuck; of a call with a slot of its own
	returned bool // fn has returned, or is not going to be called
	busy     bool // a nested call has the turn
	waiting  list // nested calls
}

// returned is the scope of all calls that got through without one. Nobody writes to it.
var returned = scope{returned: true}

// root is the scope of the call that has the slot which s is in.
func (s *scope) root() *scope {
	for s.up != nil {
		s = s.up
	}
	return s
}

// overLocked reports that nothing runs in s: neither fn nor a nested call.
func (s *scope) overLocked() bool { return s.returned && !s.busy }

// callKey finds the innermost call of a pool around a ctx.
type callKey struct{ pool *Pool }

// enclosing is the scope of the call of p whose ctx is ctx or a parent of it, nil if there is none.
func (p *Pool) enclosing(ctx context.Context) *scope {
	if x, ok := ctx.Value(callKey{p}).(*callContext); ok {
		return x.open()
	}
	return nil
}

func (x *callContext) Done() <-chan struct{} { return x.open().Done() }

func (x *callContext) Err() error {
	if x.scope.Load() == nil {
		return x.Context.Err()
	}
	return x.open().Err()
}

func (x *callContext) Value(key any) any {
	if k, ok := key.(callKey); ok && k.pool == x.slot.pool {
		return x
	}
	// With a key of its own, package context finds the cancel context: so contexts made from x need no goroutine to
	// follow it, and Cause tells its cause.
	if s := x.scope.Load(); s != nil && s != &returned {
		return s.Value(key)
	}
	return x.Context.Value(key)
}

// open returns the cancel context, which it makes if it is the first to ask.
func (x *callContext) open() *scope {
	for {
		old := x.scope.Load()
		if old != nil && old != &returned {
			return old
		}
		s := &scope{own: x, returned: old == &returned}
		s.Context, s.cancel = context.WithCancelCause(x.Context) //nolint:fatcontext // a new one in each round
		if s.returned {
			s.cancel(nil)
		}
		if x.scope.CompareAndSwap(old, s) {
			return s
		}
		s.cancel(nil)
	}
}

// end ends x because fn has returned or is not going to be called.
func (x *callContext) end() {
	if !x.scope.CompareAndSwap(nil, &returned) {
		x.scope.Load().cancel(nil)
	}
}
