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
		if !nested && p.taken < p.limit && p.drain == nil && (o.key == "" || p.queued.perKey == 0) {
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
	p.measure(c)
	if all := c.observers; all != nil {
		info, started := c.info(p)
		defer all.tell(x.Context, &info, started, err) // once the place is free
	}
	x.end()
	c.refill()
	if p.settleWarm(c) {
		return
	}
	p.mu.Lock()
	if p.warmLocked(c) {
		p.mu.Unlock()
		return
	}
	p.removeInlineLocked(c)
	next := p.finishLocked(c)
	c.clear()
	if c.kept {
		c.next, p.free = p.free, c
	}
	p.passLocked(next)
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
	if p.slot.pool == nil {
		panic("executor: Pool not made by New")
	}
	var own *scope
	if up != nil {
		own = c.ctx.open()
	}
	p.mu.Lock()
	defer p.unlock()
	// A call that is over, whose ctx is still used by what it left behind, has no slot to run in. One around it may.
	for up != nil && up.overLocked() {
		up = up.up
	}
	switch {
	case p.drain != nil && (up == nil || p.drain.gaveUp):
		p.refused.Closed++
		return nil, false, ErrClosed
	case c.load() != waiting: // the caller of Submit has left already
	case up != nil:
		own.up, c.nested = up, true
		if !up.busy {
			return p.placeLocked(c, up), true, nil
		}
		if noWait {
			p.refused.QueueFull++
			return nil, false, ErrQueueFull
		}
		c.ack = false
		up.waiting.push(c)
	case p.freeLocked(c):
		return p.placeLocked(c, nil), true, nil
	default:
		return nil, false, p.queueLocked(c, noWait)
	}
	return nil, false, nil
}

// freeLocked reports whether there is a slot that c may have.
func (p *Pool) freeLocked(c *call) bool {
	if p.taken >= p.limit {
		p.coolLocked()
	}
	return p.taken < p.limit && !p.queued.full(p.queued.tenants[c.key])
}

// queueLocked lets c wait for a slot, or returns the error with which it is refused.
func (p *Pool) queueLocked(c *call, noWait bool) error {
	switch {
	case noWait:
		p.refused.QueueFull++
		return ErrQueueFull
	case p.stuckLocked(), p.overload != nil && p.overload.doomed(c):
		p.refused.Shed++
		return ErrShed
	}
	first := p.queued.n == 0
	if p.queued.n >= p.queue {
		victim := p.queued.victim(c)
		if victim == nil {
			p.refused.QueueFull++
			return ErrQueueFull
		}
		p.dequeueLocked(victim)
		p.shedLocked(victim)
	}
	c.ack = false
	if c.observers == nil {
		c.came = p.now()
	}
	p.queued.push(c)
	if p.overload != nil {
		p.watchQueueLocked(c, first)
	}
	if p.warms {
		p.contendLocked()
		p.fillLocked()
	}
	return nil
}

// dequeueLocked takes c out of the queue.
func (p *Pool) dequeueLocked(c *call) {
	p.queued.remove(c)
	if p.overload != nil {
		p.overload.byAge.remove(c)
	}
}

// emptyLocked takes all calls out of the queue.
func (p *Pool) emptyLocked() (calls []*call) {
	for l := range p.queued.each {
		for l.n > 0 {
			calls = append(calls, l.head)
			p.dequeueLocked(l.head)
		}
	}
	return calls
}

// refuseLocked refuses a call that has been taken out of the queue, and counts it. Its caller is told when the lock is
// given back.
func (p *Pool) refuseLocked(c *call, err error, count *uint64) {
	if c.move(waiting, refused) { // its caller has not left
		c.err = err
		*count++
		p.outbox = append(p.outbox, c)
	}
}

// shedLocked is refuseLocked with ErrShed.
func (p *Pool) shedLocked(c *call) { p.refuseLocked(c, ErrShed, &p.refused.Shed) }

// unlock gives p.mu back and tells those calls their fate that were refused meanwhile.
func (p *Pool) unlock() {
	outbox := p.outbox
	if outbox == nil {
		p.mu.Unlock()
		return
	}
	p.outbox = nil
	p.mu.Unlock()
	for _, c := range outbox {
		c.dismiss(p)
	}
}

// placeLocked gives c a free slot, or the turn in up's slot, and returns the worker that is to run it.
func (p *Pool) placeLocked(c *call, up *scope) *worker {
	if up != nil {
		up.busy = true
	} else {
		p.taken++
		p.occupyLocked(c)
	}
	if p.stuckAfter > 0 {
		p.watchLocked()
	}
	if c.inline {
		p.inline.push(c)
		return nil
	}
	return p.unparkLocked(c)
}

// occupyLocked counts c, which gets a slot, among the running calls of its key.
func (p *Pool) occupyLocked(c *call) {
	if p.queued.perKey > 0 && c.key != "" {
		t := p.queued.tenant(c.key)
		c.ctx.slot = &slot{p, t}
		p.queued.occupy(t)
	}
}

// nextLocked takes the call out of the queue that gets a slot, nil if there is none.
func (p *Pool) nextLocked() *call {
	o := p.overload
	if o == nil {
		return p.queued.pop(false)
	}
	for newest := o.codel != nil && o.overloaded(p.now()); ; {
		c := p.queued.pop(newest)
		if c == nil {
			return nil
		}
		o.byAge.remove(c)
		if !o.doomed(c) {
			return c
		}
		p.shedLocked(c)
	}
}

// fillLocked starts calls that wait while there are slots for them.
func (p *Pool) fillLocked() {
	for p.taken < p.limit {
		c := p.nextLocked()
		if c == nil {
			p.calmLocked()
			return
		}
		if w := p.placeLocked(c, nil); w != nil {
			w.start()
		} else {
			c.wake <- struct{}{} // the caller runs it
		}
	}
}

// finishLocked takes its place from c, which has ended, and returns the call that gets it.
func (p *Pool) finishLocked(c *call) (next *call) {
	if c.reported {
		p.unstickLocked(c)
	}
	x := c.ctx
	s := x.scope.Load()
	if !s.returned {
		s.returned = true
	}
	// The place remains s's while nested calls run in it; the last of them passes it on.
	for ; s.overLocked(); s = s.up {
		if s.up == nil {
			next = p.releaseLocked(x)
			break
		}
		if next = s.up.waiting.pop(); next != nil {
			break
		}
		s.up.busy = false
		x = s.up.own
	}
	if next != nil {
		if p.stuckAfter > 0 {
			p.watchLocked()
		}
		if next.inline {
			p.inline.push(next)
		}
	}
	return next
}

// releaseLocked takes its slot from a call, of which x is the ctx, and returns the call that gets it.
func (p *Pool) releaseLocked(x *callContext) (next *call) {
	if t := x.slot.tenant; t != nil {
		p.queued.vacate(t)
	}
	if p.taken <= p.limit {
		if next = p.nextLocked(); next != nil {
			p.occupyLocked(next)
			return next
		}
		p.calmLocked()
	}
	p.taken--
	return nil
}

// passLocked starts next, if it is not nil, for a goroutine that cannot run it. It gives the lock back.
func (p *Pool) passLocked(next *call) {
	var w *worker
	switch {
	case next == nil:
		p.endLocked()
	case !next.inline:
		w = p.unparkLocked(next)
	}
	p.unlock()
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
	switch in := c.links[byPlace].in; {
	case c.lane != nil:
		p.dequeueLocked(c)
	case in != nil && in != &p.inline:
		in.remove(c)
	default:
		return false
	}
	return true
}

// countClosed counts a call that has been refused with err if that is ErrClosed, as [Pool.Drain] refuses those that wait.
func (p *Pool) countClosed(err error) {
	if err != ErrClosed { //nolint:errorlint // the refusal itself
		return
	}
	p.mu.Lock()
	p.refused.Closed++
	p.mu.Unlock()
}

// measure tells those that want to know how long c, whose fn has returned, has run.
func (p *Pool) measure(c *call) {
	if c.observers == nil && p.limiter == nil && p.overload == nil {
		return
	}
	at := c.load()
	c.returned = p.now()
	if !at.inside() || c.nested {
		return // not started, or in another call's slot
	}
	run := c.returned - at.started()
	if p.overload != nil && p.overload.codel != nil {
		p.mu.Lock()
		p.overload.measure(run)
		p.mu.Unlock()
	}
	if p.limiter != nil {
		p.consult(run, at.phase() == abandoned)
	}
}
