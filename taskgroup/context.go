package taskgroup

import (
	"context"
	"fmt"
	"time"
)

// groupContext is a Group as the context of its tasks. Most tasks only pass their context on or look at its values,
// so the context that can be waited for is made when somebody first asks for Done; deriving a context asks too.
//
// It may be taken for a standard context: once made, the real context answers all the questions, including the private one
// by which package context finds the nearest context that it can register children with, so that deriving
// from a groupContext starts no goroutine.
type groupContext Group

func (c *groupContext) Deadline() (time.Time, bool) { return c.parent.Deadline() }

func (c *groupContext) Done() <-chan struct{} { return (*Group)(c).waitable().Done() }

func (c *groupContext) Err() error {
	switch stopped := c.stopped.Load(); {
	case stopped == endOfParent:
		return c.parent.Err() // the real context may not have been told yet
	case c.made.Load():
		return c.real.Err()
	case stopped != nil:
		return context.Canceled
	}
	err := c.parent.Err()
	// Whoever is the first to see an end decides for all: the error of a context must not change.
	if err == nil || c.stopped.CompareAndSwap(nil, endOfParent) {
		return err
	}
	return c.Err()
}

func (c *groupContext) Value(key any) any {
	if c.watch != nil && key == (hooksKey{}) {
		return c.watch
	}
	if c.made.Load() {
		return c.real.Value(key)
	}
	// context.Cause finds a cause by asking for a value, so a group that ended needs the real context to answer.
	if c.stopped.Load() != nil {
		return (*Group)(c).waitable().Value(key)
	}
	return c.parent.Value(key)
}

// String keeps fmt from reading the group by reflection, while others write to it.
func (c *groupContext) String() string {
	parent, ok := c.parent.(fmt.Stringer)
	if !ok {
		return fmt.Sprintf("%T.Group", c.parent)
	}
	return parent.String() + ".Group"
}

// endOfParent is Group.stopped when the end of the parent was seen before the group had ended by itself.
var endOfParent = new(CancelError)

// stoppedBy is why the group ended its context, nil if it has not or the parent was first.
func (g *Group) stoppedBy() *CancelError {
	if e := g.stopped.Load(); e != endOfParent {
		return e
	}
	return nil
}

// endCause is why a group that has ended did. The context may be about to be told.
func (g *Group) endCause() error {
	if stopped := g.stoppedBy(); stopped != nil {
		return stopped
	}
	return context.Cause(g.parent)
}

// ended reports whether no further task may be started.
func (g *Group) ended() bool { return g.stopped.Load() != nil || g.parent.Err() != nil }

// realContext is a context of package context, with the function that cancels it.
type realContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// waitable returns the real context and makes it if there is none.
func (g *Group) waitable() context.Context {
	if g.made.Load() {
		return g.real.Context
	}
	return g.makeReal()
}

// makeReal makes the real context. mu is free meanwhile, since the parent may run code that is not ours.
func (g *Group) makeReal() context.Context {
	if stopped := g.stoppedBy(); stopped != nil {
		return g.makeEnded(stopped)
	}
	ctx, cancel := context.WithCancelCause(g.parent)
	return g.publish(ctx, cancel, nil)
}

// makeEnded makes the real context of a group that ended before anything happened to its parent, or by itself; what the
// parent did since must not become the cause.
func (g *Group) makeEnded(stopped *CancelError) context.Context {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(g.parent))
	cancel(stopped)
	return g.publish(ctx, cancel, stopped)
}

// publish makes ctx the real context, if there is none and the group has ended by stopped or, if that is nil, has not ended
// by itself.
func (g *Group) publish(ctx context.Context, cancel context.CancelCauseFunc, stopped *CancelError) context.Context {
	g.mu.Lock()
	if g.made.Load() || g.stoppedBy() != stopped { // it was made, or has to be another
		g.mu.Unlock()
		cancel(nil)
		return g.waitable()
	}
	g.real = realContext{ctx, cancel}
	g.made.Store(true)
	g.mu.Unlock()
	return ctx
}

// taskContext is a groupContext as the tasks of the group get it: it knows that it is inside. The body of Run and those
// who call [Group.Context] get the other, and both are the same in everything else.
type taskContext Group

func (c *taskContext) Deadline() (time.Time, bool) { return (*groupContext)(c).Deadline() }
func (c *taskContext) Done() <-chan struct{}       { return (*Group)(c).waitable().Done() }
func (c *taskContext) Err() error                  { return (*groupContext)(c).Err() }
func (c *taskContext) String() string              { return (*groupContext)(c).String() }

func (c *taskContext) Value(key any) any {
	if k, ok := key.(insideKey); ok && k.Group == (*Group)(c) {
		return true
	}
	return (*groupContext)(c).Value(key)
}

// insideKey is the key of a value that only the tasks of the group, and what is inside them, find.
type insideKey struct{ *Group }
