package executor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/grove-go/grove/internal/stacks"
)

// drain is a pool's end. The channels are closed in the order in which they stand, or ended before its turn.
type drain struct {
	cut     chan struct{} // Drain has given up
	overdue chan struct{} // and the calls had the time to end that they get
	ended   chan struct{} // no call runs, and no worker lives

	// Guarded by Pool.mu.
	gaveUp bool  // cut is closed
	cause  error // why
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

// endLocked ends the drain if nothing is left. It is called once for each step that may leave nothing.
func (p *Pool) endLocked() {
	if p.drain == nil || p.taken > 0 || len(p.alive) > 0 {
		return
	}
	close(p.drain.ended)
}

// giveUp refuses the calls that wait and cancels those that run, once.
func (p *Pool) giveUp(cause error) {
	var refused []*call
	var cancelled []*callContext
	empty := func(queue *list) {
		for c := queue.pop(); c != nil; c = queue.pop() {
			refused = append(refused, c)
		}
	}

	p.mu.Lock()
	d := p.drain
	if d.gaveUp || p.taken == 0 {
		p.mu.Unlock()
		return
	}
	d.gaveUp, d.cause = true, cause
	p.refused.Closed += uint64(p.queued.n)
	close(d.cut)
	time.AfterFunc(grace, p.abandonAll)
	empty(&p.queued)
	for c := range p.placedLocked {
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
	e := &DrainError{Pool: p.name}
	var goids []uint64          // of the calls
	inline := map[int]uintptr{} // the ids of those whose goroutine is not known yet
	p.mu.Lock()
	e.Cause = p.drain.cause
	now := p.now()
	for c, w := range p.placedLocked {
		was := c.load()
		if !was.inside() {
			continue
		}
		goid := uint64(0)
		if w != nil {
			goid = w.goid.Load()
		} else {
			inline[len(goids)] = c.id
		}
		goids = append(goids, goid)
		e.Running = append(e.Running, Running{Name: c.label(), Age: now - was.started()})
	}
	p.mu.Unlock()
	if e.Running == nil {
		<-p.drain.ended // about to come
		return nil
	}

	if len(inline) > 0 {
		found := marked()
		for i, id := range inline {
			goids[i] = found[id]
		}
	}
	found := stacks.Of(stackLimit, goids...)
	for i, goid := range goids {
		e.Running[i].Stack = found[goid]
	}
	slices.SortStableFunc(e.Running, func(a, b Running) int { return cmp.Compare(b.Age, a.Age) })
	return e
}
