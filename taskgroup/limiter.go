package taskgroup

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"
)

// A Limiter bounds the tasks of several groups together; see [Use]. It hands out units in the order in which they were
// asked for. It may be used from several goroutines.
type Limiter struct {
	size  int64
	units *semaphore.Weighted
}

// NewLimiter returns a limiter of n units. It panics if n is less than 1.
func NewLimiter(n int64) *Limiter {
	if n < 1 {
		panic(fmt.Sprintf("taskgroup: NewLimiter(%d): at least 1 unit is needed", n))
	}
	return &Limiter{size: n, units: semaphore.NewWeighted(n)}
}

// Use makes each task of the group take units of l, as many as its [Task.Weight], while it runs. A task lends its units
// while others that use l are waited for, in a group inside it or by [Future.Await], so nesting groups on one limiter cannot
// deadlock. It does so whoever waits, even if that is a goroutine beside it that has its context. The sequence of a loop is
// run with the units of a task of the loop, and must not wait for a group that uses l.
func Use(l *Limiter) Option {
	if l == nil {
		panic("taskgroup: Use called with a nil Limiter")
	}
	return option(func(c *config) { c.limiter = l })
}

// workWithin is work for a group with a Limiter. A worker is pending until it has got the units for the task
// at the head of the queue, and only one is: tasks wait for units in the queue, not on a goroutine each.
func (g *Group) workWithin() {
	var (
		t runner
		h *holder // of the task that is running
	)
	ctx := (*taskContext)(g)
	defer func() {
		if h != nil { // the task has panicked or called Goexit
			g.interrupted(t, recover(), func() {
				h.end()
				g.retire()
			})
		}
	}()
	limiter := g.cfg.limiter
	g.mu.Lock()
	for {
		if g.queue.len() > 0 && g.ended() {
			g.skipQueueLocked()
		}
		if g.queue.len() == 0 {
			break
		}
		weight := weightOf(g.queue.peek())
		g.mu.Unlock()
		err := limiter.units.Acquire(ctx, weight)
		g.mu.Lock()
		if err != nil {
			continue // the group has ended
		}
		if g.queue.len() == 0 || g.ended() || weightOf(g.queue.peek()) != weight {
			limiter.units.Release(weight) // the task that they were for is gone
			continue
		}
		t = g.queue.pop()
		g.pending--
		spawn := g.wantWorkerLocked()
		g.mu.Unlock()
		if spawn {
			go g.worker()
		}
		h = &holder{limiter: limiter, weight: weight, held: true}
		err = t.run(context.WithValue(ctx, holderKey{limiter}, h))
		h.end()
		if err != nil {
			g.returned(t, err) // looks into err, which is the task's code
		}
		h = nil
		g.mu.Lock()
		g.pending++
		if g.pending > 1 { // another waits for units already
			break
		}
	}
	g.pending--
	g.workers--
	g.leftLocked()
}

func weightOf(t runner) int64 {
	if w, ok := t.(*watched); ok {
		t = w.runner
	}
	if d, ok := t.(*described); ok && d.Weight > 0 {
		return d.Weight
	}
	return 1
}

type holderKey struct{ *Limiter }

// holder is a task that holds units, as the groups inside it find it in their context.
//
// It lends its units while it or a group inside it waits for tasks that need some of the same limiter: they could
// otherwise wait for a parent that waits for them. Whoever waits to get units back holds none, so that wait ends
// when other tasks do.
type holder struct {
	limiter *Limiter
	weight  int64

	mu    sync.Mutex
	waits int  // how many waits for tasks inside are under way
	held  bool // the units are with the task; implies waits == 0
	ended bool
}

// lender returns the task around the group whose units the group may need, nil if there is none.
func (g *Group) lender() *holder { return g.lenderIn(g.parent) }

// lenderIn returns the task that ctx belongs to, if that has units which the group may need.
func (g *Group) lenderIn(ctx context.Context) *holder {
	if g.cfg.limiter == nil {
		return nil
	}
	h, _ := ctx.Value(holderKey{g.cfg.limiter}).(*holder)
	return h
}

// lend gives the units away until reclaim. A nil holder has none.
func (h *holder) lend() {
	if h == nil {
		return
	}
	h.mu.Lock()
	h.waits++
	if h.held {
		h.held = false
		h.limiter.units.Release(h.weight)
	}
	h.mu.Unlock()
}

// reclaim ends one lend and blocks until the units are back, unless another wait goes on.
func (h *holder) reclaim() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waits--
	for h.waits == 0 && !h.held && !h.ended {
		h.mu.Unlock()
		// Only others can end this wait, and with a context that does not end it cannot fail.
		_ = h.limiter.units.Acquire(context.Background(), h.weight) //nolint:forbidigo // see above
		h.mu.Lock()
		if h.waits > 0 || h.held || h.ended { // what was to be had has changed meanwhile
			h.limiter.units.Release(h.weight)
			continue
		}
		h.held = true
	}
}

// end gives the units back for good.
func (h *holder) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	if h.held {
		h.held = false
		h.limiter.units.Release(h.weight)
	}
}
