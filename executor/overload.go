package executor

import (
	"fmt"
	"slices"
	"time"
)

// CoDel keeps the waits of a pool short that gets more calls than it can run, after the algorithm of that name for
// queues of packets and its use for servers by Facebook ("Fail at Scale", ACM Queue 13(8), 2015). A queue that empties
// now and then is a good one: bursts wait, up to [Config.MaxWait]. When for Interval there was no moment at which
// nothing waited, calls are let wait no longer than Target, and the last to come is the first to start: its caller has
// the most patience left, while the first has none. Calls that are given up get [ErrShed].
//
// A pool with CoDel also measures how long calls run, and sheds instead of queueing them, or when their turn comes, those
// whose deadline is nearer than the median: they would keep a slot from others for a result that nobody sees.
type CoDel struct {
	// Target is what calls may wait in an overload, 5 ms if 0. It should be some times as long as a call runs.
	Target time.Duration
	// Interval is how long the queue may be busy before that is an overload, 100 ms if 0.
	Interval time.Duration
}

// forever is longer than any wait, and can be added to any age without overflow: a human lifetime.
const forever = time.Duration(1 << 61)

// overload watches over the queue of a pool with MaxWait or Overload. It is guarded by Pool.mu.
type overload struct {
	maxWait time.Duration // forever if there is none
	codel   *CoDel        // nil if there is none

	byAge   list          // the queue, oldest first
	crowded time.Duration // since when calls have been waiting for slots without a break, if any wait; -1 while slots are free
	timer   *time.Timer   // expires the queue's calls; nil before the first waits
	due     time.Duration // when the timer fires next, forever if it does not

	runs   [64]time.Duration // the latest run times of calls
	ran    int               // how many there were
	median time.Duration     // of runs, 0 while there are too few
}

// newOverload returns nil if cfg asks for nothing that it is for.
func newOverload(cfg Config) (*overload, error) {
	if cfg.MaxWait == 0 && cfg.Overload == nil {
		return nil, nil //nolint:nilnil // none is a fine overload
	}
	o := &overload{maxWait: cfg.MaxWait, byAge: list{kind: byAge}, crowded: -1, due: forever}
	if o.maxWait == 0 {
		o.maxWait = forever
	}
	if cfg.Overload != nil {
		codel := *cfg.Overload
		if codel.Target < 0 {
			return nil, fmt.Errorf("executor: Config.Overload.Target is %v, want at least 0", codel.Target)
		}
		if codel.Interval < 0 {
			return nil, fmt.Errorf("executor: Config.Overload.Interval is %v, want at least 0", codel.Interval)
		}
		if codel.Target == 0 {
			codel.Target = 5 * time.Millisecond
		}
		if codel.Interval == 0 {
			codel.Interval = 100 * time.Millisecond
		}
		codel.Interval = min(codel.Interval, forever)
		o.codel = &codel
	}
	return o, nil
}

// overloaded reports whether for too long there has not been a moment at which nothing waited for a slot.
func (o *overload) overloaded(now time.Duration) bool {
	return o.codel != nil && o.crowded >= 0 && now-o.crowded >= o.codel.Interval
}

// limit is how long a call may wait now, and whether it is CoDel that says so.
func (o *overload) limit(now time.Duration) (limit time.Duration, codel bool) {
	if o.overloaded(now) && o.codel.Target < o.maxWait {
		return o.codel.Target, true
	}
	return o.maxWait, false
}

// doomed reports whether c's deadline is too near for its fn to return before.
func (o *overload) doomed(c *call) bool {
	deadline, ok := c.ctx.Deadline()
	return ok && o.median > 0 && time.Until(deadline) < o.median
}

// measure notes how long a call has run.
func (o *overload) measure(run time.Duration) {
	o.runs[o.ran%len(o.runs)] = run
	if o.ran++; o.ran%16 == 0 {
		sorted := o.runs
		known := sorted[:min(o.ran, len(sorted))]
		slices.Sort(known)
		o.median = known[len(known)/2]
	}
}

// watchQueueLocked begins to watch over a call that has been queued; first tells that no other waited.
func (p *Pool) watchQueueLocked(c *call, first bool) {
	o := p.overload
	o.byAge.push(c)
	if (first || o.crowded < 0) && p.taken >= p.limit {
		o.crowded = c.came
	}
	p.scheduleLocked(c.came)
}

// scheduleLocked sees to it that the timer fires when the oldest call has waited for too long, or when that changes.
func (p *Pool) scheduleLocked(now time.Duration) {
	o := p.overload
	oldest := o.byAge.head
	if oldest == nil {
		return // the timer finds nothing
	}
	limit, _ := o.limit(now)
	due := forever
	if limit < forever {
		due = oldest.came + limit
	}
	if o.codel != nil && o.crowded >= 0 && !o.overloaded(now) {
		due = min(due, o.crowded+o.codel.Interval)
	}
	if due >= o.due {
		return
	}
	o.due = due
	if o.timer == nil {
		o.timer = time.AfterFunc(due-now, p.expire)
	} else {
		o.timer.Reset(due - now)
	}
}

// expire gives up the calls that have waited for too long.
func (p *Pool) expire() {
	p.mu.Lock()
	p.reporting++
	defer p.reported()
	defer p.unlock()
	o := p.overload
	now := p.now()
	o.due = forever
	limit, codel := o.limit(now)
	for c := o.byAge.head; c != nil && now-c.came >= limit; c = o.byAge.head {
		p.dequeueLocked(c)
		if codel {
			p.shedLocked(c)
		} else {
			p.refuseLocked(c, ErrMaxWait, &p.refused.MaxWait)
		}
	}
	p.scheduleLocked(now)
}

// calmLocked notes that there is a slot for which no call waits.
func (p *Pool) calmLocked() {
	if p.overload != nil {
		p.overload.crowded = -1
	}
}
