package executor

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// drain is a pool's end. The channels are closed in the order in which they stand, or ended before its turn.
type drain struct {
	cut     chan struct{} // Drain has given up
	overdue chan struct{} // and the calls had the time to end that they get
	ended   chan struct{} // no call runs, and no worker lives

	// Guarded by Pool.mu.
	gaveUp bool        // cut is closed
	over   bool        // ended is closed
	cause  error       // why
	timer  *time.Timer // closes overdue; nil before cut is closed
}

// grace is how long calls have to end when Drain has cancelled their ctx.
const grace = 100 * time.Millisecond

// Drain ends the pool: it refuses new calls with [ErrClosed], except those nested in calls that run, lets the others
// run, those in the queue too, and returns nil when none is left.
//
// If ctx ends first, Drain gives up. Calls in the queue get ErrClosed. The ctx of those that run ends with the cause
// [ErrDraining]. Of calls that run on 100 ms later the callers get an [*AbandonedError], if they are not running fn
// themselves, and Drain returns a [*DrainError] that lists them; it returns nil as soon as there are none.
//
// Hooks of Futures, CallStuck and OnStuck that do not return hold Drain up in the same way, and then it returns a DrainError
// without calls.
//
// Drain may be called again, and by several goroutines: they wait for the same end, and when one gives up all do. After
// that, Drain waits for what was left behind, until its ctx ends. No goroutine of the pool outlives the last call.
// A call that drains its own pool waits for itself.
func (p *Pool) Drain(ctx context.Context) error {
	p.mu.Lock()
	if p.drain == nil {
		p.drain = &drain{cut: make(chan struct{}), overdue: make(chan struct{}), ended: make(chan struct{})}
		for ; p.idle != nil; p.idle = p.idle.below {
			close(p.idle.wake)
		}
		p.parked = 0
		p.contendLocked()
		p.endLocked()
	}
	d := p.drain
	cut := d.cut
	if d.gaveUp {
		cut = nil // not news: only ctx ends this wait
	}
	p.mu.Unlock()

	select {
	case <-d.ended:
		return nil
	case <-cut:
	case <-ctx.Done():
		p.giveUp(context.Cause(ctx))
	}
	select {
	case <-d.ended:
		return nil
	case <-d.overdue:
	}
	return p.leftovers()
}

// Close is [Pool.Drain] without patience: calls in the queue get [ErrClosed] at once, and those that run have 100 ms
// from the cancellation of their ctx. It is idempotent.
func (p *Pool) Close() error {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // it has ended before anything sees it
	cancel()
	return p.Drain(ctx)
}

// endLocked ends the drain if nothing is left. It is called after each step that may leave nothing.
func (p *Pool) endLocked() {
	if p.drain == nil || p.drain.over || p.taken > 0 || len(p.alive) > 0 || p.reporting > 0 {
		return
	}
	p.drain.over = true
	if p.drain.timer != nil {
		p.drain.timer.Stop()
	}
	if p.watchdog != nil {
		p.watchdog.Stop()
	}
	if p.overload != nil && p.overload.timer != nil {
		p.overload.timer.Stop()
	}
	close(p.drain.ended)
}

// giveUp refuses the calls that wait and cancels those that run, once.
func (p *Pool) giveUp(cause error) {
	var refused []*call
	var cancelled []*callContext
	empty := func(nested *list) {
		for c := nested.pop(); c != nil; c = nested.pop() {
			refused = append(refused, c)
		}
	}

	p.mu.Lock()
	d := p.drain
	if d.gaveUp || d.over {
		p.mu.Unlock()
		return
	}
	d.gaveUp, d.cause = true, cause
	close(d.cut)
	d.timer = time.AfterFunc(grace, p.abandonAll)
	refused = p.emptyLocked()
	for c := range p.placedLocked {
		if c.warm != 0 && !c.load().inside() {
			continue // if it is about to begin it finds out by itself
		}
		cancelled = append(cancelled, c.ctx)
		// Wherever nested calls wait, one runs, and what they wait in is above it.
		if s := c.ctx.scope.Load(); s != nil {
			for s = s.up; s != nil; s = s.up {
				empty(&s.waiting)
			}
		}
	}
	p.mu.Unlock()

	for _, c := range refused {
		c.settle(p)
	}
	for _, x := range cancelled {
		x.open().cancel(ErrDraining)
	}
}

// abandonAll sends away the callers of the calls that have not ended in time.
func (p *Pool) abandonAll() {
	var asleep []*call
	p.mu.Lock()
	for c, w := range p.placedLocked {
		if w == nil {
			continue // the caller is in fn
		}
		for {
			was := c.load()
			if was.phase() != running && was.phase() != awaited {
				break
			}
			if p.abandonLocked(c, was, ErrDraining) {
				if was.phase() == awaited {
					asleep = append(asleep, c)
				}
				break
			}
		}
	}
	p.mu.Unlock()
	for _, c := range asleep {
		c.release(p)
	}
	close(p.drain.overdue)
}

// leftovers returns the error that lists the calls that run, nil if none does.
func (p *Pool) leftovers() error {
	var seen sightings
	p.mu.Lock()
	e := &DrainError{Pool: p.name, Cause: p.drain.cause}
	now := p.now()
	for c, w := range p.placedLocked {
		if at := c.load(); at.inside() {
			seen.addLocked(c, w, at.age(now))
		}
	}
	p.mu.Unlock()
	if seen.calls == nil {
		select {
		case <-p.drain.ended: // about to come
			return nil
		case <-time.After(grace):
			return e
		}
	}
	seen.trace()
	e.Running = seen.calls
	slices.SortStableFunc(e.Running, func(a, b Running) int { return cmp.Compare(b.Age, a.Age) })
	return e
}
