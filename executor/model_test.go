package executor_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/grove-go/grove/executor"
)

// outcome is how a call ends for its caller.
type outcome string

const (
	none       outcome = ""
	value      outcome = "value"
	panicked   outcome = "panic"
	exited     outcome = "goexit"
	notStarted outcome = "not started"
	queueFull  outcome = "queue full"
	shed       outcome = "shed"
	maxWait    outcome = "max wait"
	closed     outcome = "closed"
	left       outcome = "abandoned"
	either     outcome = "value or abandoned" // fn and its caller saw the end of the ctx at the same time
)

func outcomeOf(err error) outcome {
	var abandoned *executor.AbandonedError
	var panicError *executor.PanicError
	switch {
	case err == nil:
		return value
	case errors.As(err, &abandoned):
		return left
	case errors.As(err, &panicError):
		return panicked
	case errors.Is(err, executor.ErrGoexit):
		return exited
	case errors.Is(err, executor.ErrQueueFull):
		return queueFull
	case errors.Is(err, executor.ErrShed):
		return shed
	case errors.Is(err, executor.ErrMaxWait):
		return maxWait
	case errors.Is(err, executor.ErrClosed):
		return closed
	case errors.Is(err, executor.ErrNotStarted):
		return notStarted
	}
	return outcome(err.Error())
}

// modelCall is a call as the model sees it.
type modelCall struct {
	id     int
	parent *modelCall
	inline bool // the caller runs fn
	polite bool // fn returns when its ctx ends
	key    string
	level  executor.Level

	came     time.Time // when it was queued
	reported bool      // as stuck
	started  time.Time
	running  bool // fn has been called and has not returned
	over     bool // fn has returned, or will not be called
	ctxEnded bool // the caller's ctx
	gone     bool // the caller has left a running fn
	outcome  outcome

	turn    *modelCall   // the nested call that has the turn
	waiting []*modelCall // nested calls
}

// model says what a pool does, one step after the other.
type model struct {
	executor.Config
	queue         int          // how many may wait
	queued        []*modelCall // in the order in which they came
	turns         turns
	crowded       time.Time    // since when there is no free slot and calls wait, without a break; zero if it is not so
	placed        []*modelCall // with a slot of their own that is still taken
	calls         []*modelCall
	draining, cut bool
}

// pass is the time that has passed: calls have waited too long.
func (m *model) pass() {
	limit, o := m.MaxWait, maxWait
	if m.overloaded() && (limit == 0 || m.Overload.Target < limit) {
		limit, o = m.Overload.Target, shed
	}
	for _, c := range slices.Clone(m.queued) {
		if limit > 0 && time.Since(c.came) >= limit {
			m.queued = without(m.queued, c)
			m.refuse(c, o)
		}
	}
	m.arrange()
}

// look finds the calls that are stuck since the given time.
func (m *model) look(now time.Time) {
	found := false
	for _, c := range m.calls {
		if m.StuckAfter == 0 || !c.running || c.reported || now.Sub(c.started) < m.StuckAfter {
			continue
		}
		c.reported, found = true, true
	}
	if found && m.isStuck() {
		for _, c := range m.queued {
			m.refuse(c, shed)
		}
		m.queued = nil
		m.arrange()
	}
}

// stuck is how many slots a call runs in that has been reported.
func (m *model) stuck() int {
	slots := make(map[*modelCall]bool)
	for _, c := range m.calls {
		if c.running && c.reported {
			root := c
			for root.parent != nil {
				root = root.parent
			}
			slots[root] = true
		}
	}
	return len(slots)
}

func (m *model) isStuck() bool { return m.stuck() > 0 && m.stuck() >= m.Workers }

// resize changes the number of slots.
func (m *model) resize(n int) {
	m.Workers = n
	if m.Queue == 0 {
		m.queue = n
	}
	m.fill()
}

// submit is a new call. Its ctx has not ended, unless its parent's fn has seen the end of its own.
func (m *model) submit(c *modelCall, noWait bool) {
	m.calls = append(m.calls, c)
	if c.ctxEnded {
		m.refuse(c, notStarted)
		return
	}
	up := c.parent
	switch {
	case m.draining && (up == nil || m.cut):
		m.refuse(c, closed)
	case up != nil && up.turn == nil:
		up.turn = c
		m.start(c)
	case up != nil && noWait:
		m.refuse(c, queueFull)
	case up != nil:
		up.waiting = append(up.waiting, c)
	case len(m.placed) < m.Workers && m.mayRun(c.key):
		m.placed = append(m.placed, c)
		m.start(c)
		m.arrange()
	case noWait:
		m.refuse(c, queueFull)
	case m.isStuck():
		m.refuse(c, shed)
	default:
		rest := m.queued
		if len(m.queued) >= m.queue {
			victim := m.victim(c)
			if victim == nil {
				m.refuse(c, queueFull)
				return
			}
			rest = without(rest, victim)
			m.refuse(victim, shed)
		}
		c.came = time.Now()
		m.queued = append(rest, c)
		m.arrange()
		if m.crowded.IsZero() && len(m.placed) >= m.Workers {
			m.crowded = time.Now()
		}
	}
}

func (m *model) refuse(c *modelCall, o outcome) { c.over, c.outcome = true, o }

func (m *model) start(c *modelCall) { c.running, c.started = true, time.Now() }

// endCtx ends the ctx of c's caller.
func (m *model) endCtx(c *modelCall) {
	if c.ctxEnded || c.over {
		return
	}
	c.ctxEnded = true
	if !c.running {
		m.queued = without(m.queued, c)
		m.arrange()
		if c.parent != nil {
			c.parent.waiting = without(c.parent.waiting, c)
		}
		m.refuse(c, notStarted)
		return
	}
	m.endFn(c)
}

// endFn ends the ctx that c's fn has, and with it that of the callers of nested calls.
func (m *model) endFn(c *modelCall) {
	m.endNested(c)
	if c.ctxEnded && !c.inline && !c.gone && c.outcome == none {
		c.gone = true
		c.outcome = left
		if c.polite {
			c.outcome = either
		}
	}
	if c.polite && c.running {
		m.finish(c, value)
	}
}

// finish ends c's fn.
func (m *model) finish(c *modelCall, o outcome) {
	c.running, c.over = false, true
	if c.outcome == none {
		c.outcome = o
	}
	m.endNested(c)
	m.release(c)
}

// endNested ends the ctx of the callers of the calls nested in c: no turn passes to one that waits.
func (m *model) endNested(c *modelCall) {
	for _, n := range slices.Clone(c.waiting) {
		m.endCtx(n)
	}
	if c.turn != nil {
		m.endCtx(c.turn)
	}
}

// release passes the place of c on, if nothing runs in it any more.
func (m *model) release(c *modelCall) {
	if !c.over || c.turn != nil {
		return
	}
	if up := c.parent; up != nil {
		if up.turn != c {
			return
		}
		up.turn = nil
		if len(up.waiting) > 0 {
			up.turn, up.waiting = up.waiting[0], up.waiting[1:]
			m.start(up.turn)
			return
		}
		m.release(up)
		return
	}
	if !slices.Contains(m.placed, c) {
		return
	}
	m.placed = without(m.placed, c)
	m.arrange()
	m.fill()
}

// giveUp is the end of Drain's patience.
func (m *model) giveUp() {
	if m.cut || len(m.placed) == 0 {
		return
	}
	m.cut = true
	for _, c := range m.calls {
		if !c.over && !c.running {
			m.refuse(c, closed)
		}
		c.waiting = nil
	}
	m.queued = nil
	m.arrange()
	for _, c := range slices.Clone(m.calls) {
		if c.running {
			m.endFn(c)
		}
	}
}

// overdue is 100 ms after that.
func (m *model) overdue() {
	for _, c := range m.calls {
		if c.running && !c.inline && c.outcome == none {
			c.gone, c.outcome = true, left
		}
	}
}

func (m *model) stats() executor.Stats {
	s := executor.Stats{
		Workers: m.Workers, Limit: m.Workers, Queue: m.queue,
		Running: len(m.placed), Queued: len(m.queued), Stuck: m.stuck(),
	}
	for _, c := range m.queued {
		s.OldestQueued = max(s.OldestQueued, time.Since(c.came))
	}
	for _, c := range m.calls {
		if !c.running {
			continue
		}
		s.Oldest = max(s.Oldest, time.Since(c.started))
		if c.gone {
			s.Abandoned++
			s.OldestAbandoned = max(s.OldestAbandoned, time.Since(c.started))
		}
	}
	return s
}

func without(calls []*modelCall, c *modelCall) []*modelCall {
	return slices.DeleteFunc(slices.Clone(calls), func(other *modelCall) bool { return other == c })
}

// ended is a ctx that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
