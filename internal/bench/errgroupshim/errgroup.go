// Package errgroupshim is the API of golang.org/x/sync/errgroup on top of [taskgroup.Group]. It is a measure and not a
// product: errgroup's own tests pass on it, so whatever errgroup does can be done with a Group, and the code shows what
// errgroup allows and Grove refuses:
//
//   - A group is used again after Wait. A taskgroup.Group is one scope, and Go panics after Wait: here each round has a
//     group of its own.
//   - Go blocks at the limit, so that a task that calls Go there waits for itself. Go of a taskgroup.Group queues, and what
//     is to be held back is pulled by taskgroup.ForEach: here the slots are a channel.
//   - The limit may be changed while nothing runs, and be 0, which lets nothing start. That of a taskgroup.Group is an
//     option, and at least 1.
//   - The cause of the context is the bare first error, and so is the result of Wait. Clients that return the cause of
//     their context then fail with the error of another task: a taskgroup.Group has its own types for both.
//   - Tasks are started after the first failure and after the end of the context, if only to find that out. A
//     taskgroup.Group counts them as skipped.
//   - The zero Group is usable, and cancels nothing. A taskgroup.Group always has a context, and can keep going.
//
// Two things are as Grove has them, and no test of errgroup asks: a task that calls [runtime.Goexit] ends the goroutine
// that waits, where errgroup takes it for a success; and Go called after Wait has returned, while another goroutine is
// about to return from Wait, panics as sync.WaitGroup does in that case, though with another message.
//
// The test of this package runs errgroup's tests, from the module cache, with the race detector.
package errgroupshim

import (
	"context"
	"fmt"
	"sync"

	"github.com/grove-go/grove/taskgroup"
)

// A Group is what errgroup.Group is. It must not be copied after its first use.
type Group struct {
	parent context.Context         // of the rounds; nil in a Group that was not made by WithContext
	cancel context.CancelCauseFunc // nil likewise
	slots  chan struct{}           // has an element for each active task; nil without a limit

	once sync.Once
	err  error // the first failure of all rounds: written in once, read by Wait

	mu    sync.Mutex
	round *taskgroup.Group // what was started since the last Wait; nil when that is nothing
}

// WithContext returns a new Group and a context derived from ctx, which is cancelled when a task fails, with its error
// for a cause, and when Wait returns.
func WithContext(ctx context.Context) (*Group, context.Context) {
	// The rounds do not end with ctx: what is given to Go is started even then.
	parent := context.WithoutCancel(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	return &Group{parent: parent, cancel: cancel}, ctx
}

// SetLimit limits the active tasks to n; a negative n means no limit, and 0 lets none start. It panics if tasks are
// active.
func (g *Group) SetLimit(n int) {
	if n < 0 {
		g.slots = nil
		return
	}
	if active := len(g.slots); active > 0 {
		panic(fmt.Errorf("errgroupshim: SetLimit called while %d tasks are active", active))
	}
	g.slots = make(chan struct{}, n)
}

// Go starts f. At the limit it blocks until another task has ended.
func (g *Group) Go(f func() error) {
	if g.slots != nil {
		g.slots <- struct{}{}
	}
	g.start(f)
}

// TryGo starts f and returns true, unless the group is at its limit.
func (g *Group) TryGo(f func() error) bool {
	if g.slots != nil {
		select {
		case g.slots <- struct{}{}:
		default:
			return false
		}
	}
	g.start(f)
	return true
}

// start starts f, for which a slot has been taken.
func (g *Group) start(f func() error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.round == nil {
		parent := g.parent
		if parent == nil {
			parent = context.Background()
		}
		// KeepGoing is for a Goexit, the only way in which these tasks fail.
		g.round = taskgroup.New(parent, taskgroup.KeepGoing(), taskgroup.OnPanic(taskgroup.Crash))
	}
	slots := g.slots
	g.round.Go(func(context.Context) error {
		defer func() {
			if slots != nil {
				<-slots
			}
		}()
		if err := f(); err != nil {
			g.fail(err)
		}
		return nil
	})
}

// fail keeps the first error and cancels the context with it.
func (g *Group) fail(err error) {
	g.once.Do(func() {
		g.err = err
		if g.cancel != nil {
			g.cancel(err)
		}
	})
}

// Wait blocks until all tasks have ended, cancels the context and returns the first error of all tasks since the group
// was made. The group may be used again.
func (g *Group) Wait() error {
	g.mu.Lock()
	round := g.round
	g.mu.Unlock()
	if round != nil {
		defer g.forget(round)
		_ = round.Wait() // its tasks return nil
	}
	if g.cancel != nil {
		g.cancel(nil) // counts only if no task has failed
	}
	return g.err
}

// forget ends a round, unless another Wait has.
func (g *Group) forget(round *taskgroup.Group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.round == round {
		g.round = nil
	}
}
