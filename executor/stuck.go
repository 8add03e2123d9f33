package executor

import (
	"context"
	"time"

	"github.com/grove-go/grove/internal/stacks"
)

// sightings are calls that were seen running.
type sightings struct {
	calls  []Running
	goids  []uint64        // of the goroutines that run them
	inline map[int]uintptr // the ids of those whose goroutine is not known yet
}

// addLocked adds c, which w runs or, if that is nil, its caller.
func (s *sightings) addLocked(c *call, w *worker, age time.Duration) {
	goid := uint64(0)
	switch {
	case w != nil:
		goid = w.goid.Load()
	case s.inline == nil:
		s.inline = make(map[int]uintptr)
		fallthrough
	default:
		s.inline[len(s.calls)] = c.id
	}
	s.goids = append(s.goids, goid)
	s.calls = append(s.calls, Running{Name: c.label(), Key: c.key, Age: age})
}

// trace finds the stacks.
func (s *sightings) trace() {
	if len(s.inline) > 0 {
		found := marked()
		for i, id := range s.inline {
			s.goids[i] = found[id]
		}
	}
	found := stacks.Of(stackLimit, s.goids...)
	for i, goid := range s.goids {
		s.calls[i].Stack = found[goid]
	}
}

// watchLocked sees to it that the calls that are about to run are looked after.
func (p *Pool) watchLocked() {
	if p.watching {
		return
	}
	p.watching = true
	if p.watchdog == nil {
		p.watchdog = time.AfterFunc(p.stuckAfter, p.lookForStuck)
	} else {
		p.watchdog.Reset(p.stuckAfter)
	}
}

// lookForStuck reports the calls that have been running for stuckAfter, each once, and comes again when the next will
// have been. What starts meanwhile is stuck later still, so nothing is missed.
func (p *Pool) lookForStuck() {
	var seen sightings
	type report struct {
		observers
		ctx  context.Context
		info CallInfo
	}
	var reports []report
	p.mu.Lock()
	now, next := p.now(), forever
	for c, w := range p.placedLocked {
		began := now // or is about to
		at := c.load()
		if at.inside() {
			began = at.started()
		}
		switch {
		case c.reported:
		case now-began < p.stuckAfter:
			next = min(next, began+p.stuckAfter)
		default:
			c.reported = true
			p.stickLocked(c)
			seen.addLocked(c, w, now-began)
			info := p.describe(c)
			info.Wait, info.Run = max(0, began-c.came), now-began
			reports = append(reports, report{c.observers, c.ctx.Context, info})
		}
	}
	if p.watching = next < forever; p.watching {
		p.watchdog.Reset(next - now)
	}
	if seen.calls == nil {
		p.mu.Unlock()
		return
	}
	if p.stuckLocked() {
		for _, c := range p.emptyLocked() {
			p.shedLocked(c)
		}
	}
	p.reporting++
	defer p.reported()
	p.unlock()

	seen.trace()
	for i, call := range seen.calls {
		if p.onStuck != nil {
			p.onStuck(call)
		}
		for _, h := range reports[i].observers {
			if h.CallStuck != nil {
				h.CallStuck(reports[i].ctx, reports[i].info, call.Stack)
			}
		}
	}
}

// reported is called at the end of what Drain waits for.
func (p *Pool) reported() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reporting--
	p.endLocked()
}

// stickLocked counts the slot that c runs in among those that are stuck, and unstickLocked does so no longer, once no call
// in it is.
func (p *Pool) stickLocked(c *call) {
	s := c.ctx.open().root()
	if s.stuck++; s.stuck == 1 {
		p.stuck++
	}
}

func (p *Pool) unstickLocked(c *call) {
	s := c.ctx.open().root()
	if s.stuck--; s.stuck == 0 {
		p.stuck--
	}
}

// stuckLocked reports whether there is no slot that could become free, as far as anybody knows.
func (p *Pool) stuckLocked() bool { return p.stuck > 0 && p.stuck >= p.limit }
