package executor

import (
	"context"
	"math/bits"
	"sync/atomic"
)

// warm are inline calls that have ended and kept their slots, so that the next ones need no lock: who takes a call out has
// its slot. Each has a place of its own. Pool.taken and Pool.inline count them as if they ran. Only pools that need not
// do anything with each call keep slots warm.
//
// Warm calls begin and end without the lock, beside those that hold it. Those set contended, and it remains set, if they let
// a call wait or drain the pool, and then look for warm calls. Who begins or ends a warm call looks at contended after
// that can be seen. So one of them sees the other, from which follows:
//
//   - No slot stays warm while a call waits.
//   - Drain finds each call that runs, or that finds Drain.
//   - While the pool drains, a call that has been seen running does not end, nor change, without the lock.
type warm [8]atomic.Pointer[call]

// take returns a call, nil if there is none.
func (w *warm) take() *call {
	for i := range w {
		if w[i].Load() == nil {
			continue
		}
		if c := w[i].Swap(nil); c != nil {
			return c
		}
	}
	return nil
}

// put puts a call back into its place.
func (w *warm) put(c *call) {
	c.clear()
	w[bits.TrailingZeros8(c.warm)].Store(c)
}

// count is how many calls are in w.
func (w *warm) count() (n int) {
	for i := range w {
		if w[i].Load() != nil {
			n++
		}
	}
	return n
}

// rewarm returns a call of fn that has begun in a warm slot, nil if there is none or the pool drains.
func (p *Pool) rewarm(ctx context.Context, fn any, o CallOption) *call {
	if c := p.warm.take(); c != nil && p.beginWarm(ctx, c, fn, o) {
		return c
	}
	return nil
}

func (p *Pool) beginWarm(ctx context.Context, c *call, fn any, o CallOption) bool {
	c.fill(p, ctx, fn, o)
	c.word.Store(int64(begun(p.now(), awaited)))
	if p.contended.Load() && p.draining() {
		c.observers = nil // who refuses it tells them
		p.vacate(c, nil)
		return false
	}
	return true
}

func (p *Pool) draining() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drain != nil
}

// settleWarm ends a warm call whose fn has returned, and reports whether it could do so without the lock.
func (p *Pool) settleWarm(c *call) bool {
	if c.warm == 0 || c.ctx.scope.Load() != &returned {
		return false
	}
	c.word.Store(done)
	if p.contended.Load() {
		return false
	}
	p.freeWarm(c)
	return true
}

// freeWarm frees the slot of a warm call that has ended.
func (p *Pool) freeWarm(c *call) {
	p.warm.put(c)
	if p.contended.Load() {
		p.mu.Lock()
		p.coolLocked()
		p.fillLocked()
		p.endLocked()
		p.unlock()
	}
}

// warmLocked ends an inline call and keeps its slot warm, and reports whether it does: nobody else must need it.
func (p *Pool) warmLocked(c *call) bool {
	// Nested calls, which have no slot of their own, have a scope of their own.
	if !p.warms || c.ctx.scope.Load() != &returned || p.queued.n > 0 || p.drain != nil || p.taken > p.limit {
		return false
	}
	if c.warm == 0 {
		c.warm = ^p.warmed & (p.warmed + 1) // the lowest place that is free
		if c.warm == 0 {
			return false
		}
		p.warmed |= c.warm
	}
	p.contended.Store(false)
	c.word.Store(done)
	p.warm.put(c)
	return true
}

// coolLocked frees the slots that are warm.
func (p *Pool) coolLocked() {
	if p.warmed == 0 {
		return
	}
	for c := p.warm.take(); c != nil; c = p.warm.take() {
		p.removeInlineLocked(c)
		p.taken--
		c.next, p.free = p.free, c
	}
}

// contendLocked frees the slots that are warm and lets none become so until warmLocked finds that nobody else needs them.
func (p *Pool) contendLocked() {
	p.contended.Store(true)
	p.coolLocked()
}

// removeInlineLocked takes an inline call off the books.
func (p *Pool) removeInlineLocked(c *call) {
	p.inline.remove(c)
	p.warmed &^= c.warm
	c.warm = 0
}
