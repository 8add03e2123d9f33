package executor

import (
	"sync/atomic"

	"github.com/grove-go/grove/internal/fault"
	"github.com/grove-go/grove/internal/stacks"
)

// worker is a goroutine that runs calls, one after the other, on a stack that stays grown.
type worker struct {
	pool *Pool
	wake chan struct{} // holds the token that says that call has been set; closed to end the worker
	goid atomic.Uint64

	// Guarded by Pool.mu.
	call  *call   // the one that it runs or is to run
	below *worker // parked before it
	index int     // in Pool.alive
}

// unparkLocked returns a worker for c, which start sets going.
func (p *Pool) unparkLocked(c *call) *worker {
	w := p.idle
	if w != nil {
		p.idle = w.below
		p.parked--
	} else {
		w = &worker{pool: p, index: len(p.alive)}
		p.alive = append(p.alive, w)
	}
	w.call = c
	return w
}

// parkLocked makes w wait for a call, or end if there are enough that do.
func (p *Pool) parkLocked(w *worker) {
	w.call = nil
	if p.drain != nil || p.parked >= p.workers {
		close(w.wake)
		return
	}
	w.below, p.idle = p.idle, w
	p.parked++
}

// start sets w going on its call, with a new goroutine if it has none.
func (w *worker) start() {
	if w.wake == nil {
		w.wake = make(chan struct{}, 1)
		go w.run()
	}
	w.wake <- struct{}{}
}

func (w *worker) run() {
	w.goid.Store(stacks.ID())
	var c *call
	for again := true; again; {
		c, again = w.loop(c)
	}
}

// loop runs c, if it is not nil, and then the calls that come, until w ends. When a call panics it returns the next
// call, to be called again: one deferred function serves all calls.
func (w *worker) loop(c *call) (next *call, again bool) {
	p := w.pool
	defer func() {
		if c == nil {
			return
		}
		if v := recover(); v != nil {
			c.task.fail(fault.Recovered(v, c.name))
			next, again = w.finish(c), true
			return
		}
		// c called runtime.Goexit, and w ends with it.
		c.task.fail(ErrGoexit)
		c.ctx.end()
		p.measure(c)
		p.mu.Lock()
		p.removeLocked(w)
		p.passLocked(p.finishLocked(c))
		c.settle(p)
	}()
	for {
		if c == nil {
			if _, ok := <-w.wake; !ok {
				p.mu.Lock()
				p.removeLocked(w)
				p.endLocked()
				p.mu.Unlock()
				return nil, false
			}
			c = w.call // set before the token, and then only by w itself
		}
		if c.begin(p) {
			c.task.run(c.ctx)
		}
		ended := c
		c = nil // what panics from here on is not the call
		c = w.finish(ended)
	}
}

// finish ends c and returns the call that w is to run next. If there is none, w is parked.
func (w *worker) finish(c *call) (next *call) {
	p := w.pool
	c.ctx.end()
	p.measure(c)
	p.mu.Lock()
	next = p.finishLocked(c)
	granted := next
	if next == nil || next.inline {
		next = nil
		p.parkLocked(w)
	} else {
		w.call = next
	}
	p.unlock()
	// The place has been passed on before the caller can know: its next call finds it free.
	c.settle(p)
	if granted != next {
		granted.wake <- struct{}{}
	}
	return next
}

// removeLocked takes w, which is ending, off the books.
func (p *Pool) removeLocked(w *worker) {
	last := len(p.alive) - 1
	p.alive[last].index = w.index
	p.alive[w.index] = p.alive[last]
	p.alive[last] = nil
	p.alive = p.alive[:last]
}
