package taskgroup

import (
	"time"

	"github.com/grove-go/grove/internal/fault"
)

// panicGrace is how long a panic waits for an owner, and how long a panic of the owner waits for the tasks.
const panicGrace = 30 * time.Second

// interrupted ends a task that did not return. The deferred function of the goroutine that ran it calls it, so the
// frames of the task are still on the stack. value is what recover returned, nil for runtime.Goexit; retire gives up
// the task's place in the group.
func (g *Group) interrupted(t runner, value any, retire func()) {
	taken := g.recordInterrupted(t, value)
	retire() // before the wait: the owner waits for all tasks to be retired
	if taken != nil {
		park(taken, value, max(panicGrace, g.cfg.grace))
	}
}

// recordInterrupted records a panic, or a Goexit if value is nil, as the group's policy wants it. If the goroutine has
// to be kept for the owner, taken is what ends that.
func (g *Group) recordInterrupted(t runner, value any) (taken <-chan struct{}) {
	from := t.origin()
	err := ErrGoexit
	switch {
	case value == nil:
		g.exited(from)
	case g.cfg.onPanic == Crash:
		panic(value)
	default:
		p := fault.Recovered(value, from.title())
		err = p
		if g.cfg.onPanic == AsError {
			g.fail(from, p)
		} else {
			taken = g.panicked(p)
		}
	}
	if i, ok := t.(interruptible); ok {
		i.interrupted(err)
	}
	return taken
}

// exited records that a task called runtime.Goexit.
func (g *Group) exited(from origin) {
	if g.cfg.onPanic == AsError {
		g.fail(from, ErrGoexit)
		return
	}
	g.mu.Lock()
	g.recordLocked().goexit = true
	if !g.cfg.keepGoing {
		g.cancelLocked(ErrGoexit)
	}
	g.mu.Unlock()
	g.announce()
}

// panicked records a panic for the owner and cancels the group. It returns what tells that the owner has taken it, or
// nil if it is not the first: the owner can panic with only one.
func (g *Group) panicked(p *PanicError) (taken <-chan struct{}) {
	g.mu.Lock()
	if o := g.recordLocked(); o.panicked == nil {
		o.panicked = p
		o.taken = make(chan struct{})
		taken = o.taken
	}
	g.cancelLocked(p)
	g.mu.Unlock()
	g.announce()
	return taken
}

// park keeps the frames of a panic until the owner has taken it. If nobody does, because the owner never gets to Wait
// or another task never ends, the panic goes on where it began, and what the process dies with shows those frames:
// a deadlock cannot hide a panic.
func park(taken <-chan struct{}, value any, grace time.Duration) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-taken:
	case <-timer.C:
		panic(value)
	}
}
