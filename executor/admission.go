package executor

import "context"

// take returns a call of fn, filled in. With a free slot and a call to reuse, the call has started, and the lock has
// been taken once. Otherwise, and for nested calls always, admit decides. An inline call that has started has begun,
// too: its caller has just seen that ctx has not ended.
func (p *Pool) take(ctx context.Context, fn any, o CallOption, nested bool) (c *call, w *worker, started bool) {
	first := word(waiting)
	if o.inline {
		first = begun(p.now(), awaited)
	}
	p.mu.Lock()
	if p.free == nil {
		p.free = p.returned.Swap(nil)
	}
	c = p.free
	keep := c == nil && p.kept < maxKept
	if keep {
		p.kept++
	}
	if c != nil {
		p.free, c.next = c.next, nil
		if !nested && p.drain == nil && p.taken < p.workers {
			started = true
			c.fill(p, ctx, fn, o)
			c.word.Store(int64(first))
			w = p.placeLocked(c, nil)
		}
	}
	p.mu.Unlock()
	if c == nil {
		c = newCall()
		c.kept = keep
	}
	if !started {
		c.fill(p, ctx, fn, o)
		c.word.Store(waiting)
	}
	return c, w, started
}

// put gives a call back that nobody else refers to any more.
func (p *Pool) put(c *call) {
	if !c.kept {
		return
	}
	c.clear()
	c.refill()
	for {
		c.next = p.returned.Load()
		if p.returned.CompareAndSwap(c.next, c) {
			return
		}
	}
}

// vacate ends an inline call that had a place, and gives it back. err is what its caller gets.
func (p *Pool) vacate(c *call, err error) {
	x := c.ctx
	if all := c.observers; all != nil {
		c.returned = p.now()
		info, started := c.info(p)
		defer all.tell(x.Context, info, started, err) // once the place is free
	}
	x.end()
	c.refill()
	p.mu.Lock()
	p.inline.remove(c)
	c.clear()
	if c.kept {
		c.next, p.free = p.free, c
	}
	p.passLocked(p.finishLocked(x))
}

// drop leaves a call to the garbage collector.
func (p *Pool) drop(c *call) {
	if c.kept {
		p.mu.Lock()
		p.kept--
		p.mu.Unlock()
	}
}

// admit gives c a place to run in or to wait in, or returns the error with which it is refused. A call nested in up
// runs in up's slot. w is to be woken if it is not nil.
func (p *Pool) admit(c *call, up *scope, noWait bool) (w *worker, started bool, err error) {
	if p.workers == 0 {
		panic("executor: Pool not made by New")
	}
	var own *scope
	if up != nil {
		own = c.ctx.open()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// A call that is over, whose ctx is still used by what it left behind, has no slot to run in. One around it may.
	for up != nil && up.overLocked() {
		up = up.up
	}
	if p.drain != nil && (up == nil || p.drain.gaveUp) {
		p.refused.Closed++
		return nil, false, ErrClosed
	}
	free, queue, room := p.taken < p.workers, &p.queued, p.queued.n < p.queue
	if up != nil {
		own.up = up
		free, queue, room = !up.busy, &up.waiting, true
	}
	switch {
	case c.load() != waiting: // the caller of Submit has left already
	case free:
		return p.placeLocked(c, up), true, nil
	case noWait || !room:
		p.refused.QueueFull++
		return nil, false, ErrQueueFull
	default:
		c.ack = false
		if c.observers == nil {
			c.came = p.now()
		}
		queue.push(c)
	}
	return nil, false, nil
}

// placeLocked gives c a free slot, or the turn in up's slot, and returns the worker that is to run it.
func (p *Pool) placeLocked(c *call, up *scope) *worker {
	if up != nil {
		up.busy = true
	} else {
		p.taken++
	}
	if c.inline {
		p.inline.push(c)
		return nil
	}
	return p.unparkLocked(c)
}

// finishLocked takes the place from the call whose ctx is x, which has ended, and returns the call that gets it.
func (p *Pool) finishLocked(x *callContext) (next *call) {
	s := x.scope.Load()
	if !s.returned {
		s.returned = true
	}
	// The place remains s's while nested calls run in it; the last of them passes it on.
	for ; s.overLocked(); s = s.up {
		if s.up == nil {
			if next = p.queued.pop(); next == nil {
				p.taken--
			}
			break
		}
		if next = s.up.waiting.pop(); next != nil {
			break
		}
		s.up.busy = false
	}
	if next != nil && next.inline {
		p.inline.push(next)
	}
	return next
}

// passLocked starts next, if it is not nil, for a goroutine that cannot run it. It unlocks p.mu.
func (p *Pool) passLocked(next *call) {
	var w *worker
	switch {
	case next == nil:
		p.endLocked()
	case !next.inline:
		w = p.unparkLocked(next)
	}
	p.mu.Unlock()
	switch {
	case w != nil:
		w.start()
	case next != nil:
		next.wake <- struct{}{}
	}
}

// unlink takes c out of the queue in which it waits, and reports whether it waited.
func (p *Pool) unlink(c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.in == nil || c.in == &p.inline {
		return false
	}
	c.in.remove(c)
	return true
}
