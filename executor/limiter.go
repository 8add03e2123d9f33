package executor

import (
	"fmt"
	"math"
	"time"
)

// Limiter finds out how many calls are good to run at a time, between 1 and the pool's Workers. Those that come with the
// package are [AIMD], [Gradient] and [SchedLatency]. A Limiter belongs to one pool.
type Limiter interface {
	// Next returns how many calls may run from now on, which is rounded and kept between 1 and Workers. The pool calls it
	// after each call that had a slot of its own, one at a time and without locks that its methods need. It must not block.
	Next(s Sample) float64
}

// Sample is a call that has returned, and the pool at that moment.
type Sample struct {
	// Limit is how many calls may run, unrounded as [Limiter.Next] returned it, and at first the pool's Workers.
	Limit float64
	// Running is how many ran, this one included. Where it is far below Limit, nothing is known about Limit.
	Running int
	// Run is how long fn ran.
	Run time.Duration
	// Abandoned says that its caller had left.
	Abandoned bool
}

// round is as many calls as the limit: those that may have begun before the limit was last changed.
type round struct{ calls float64 }

// adapt returns the limit after a call: a tenth less if that went badly, at most once in a round, and otherwise more by
// growth in a round, if it was used.
func (r *round) adapt(s Sample, bad bool, growth float64) float64 {
	r.calls++
	switch {
	case bad && r.calls >= s.Limit:
		r.calls = 0
		return s.Limit * 0.9
	case bad || 2*float64(s.Running) < s.Limit:
		return s.Limit
	default:
		return s.Limit + growth/s.Limit
	}
}

// AIMD is a [Limiter] that allows one call more after as many as the limit have returned within latency, if at least half of
// the limit was used, and a tenth less after one that took longer or was abandoned, at most once in as many calls as the
// limit. The pools of several processes that call the same service come to equal shares of it.
func AIMD(latency time.Duration) Limiter {
	if latency <= 0 {
		panic(fmt.Sprintf("executor: AIMD called with latency %v, want more than 0", latency))
	}
	return &aimd{latency: latency}
}

type aimd struct {
	round
	latency time.Duration
}

func (a *aimd) Next(s Sample) float64 { return a.adapt(s, s.Abandoned || s.Run > a.latency, 1) }

// Gradient is a [Limiter] that needs no target: it compares how long calls run with how long they run when there are
// fewer, and allows as many as make them up to about half as slow again. To know the difference it halves the limit now
// and then, for as many calls as the limit and at most every thousand calls.
func Gradient() Limiter { return new(gradient) }

// gradient follows the gradient of run times as Envoy's adaptive concurrency does, with the minimum from half the limit
// and not from a fixed low one: where half as many calls are no faster, even half saturates nothing.
type gradient struct {
	mean float64 // of run times, over about ten calls
	base float64 // mean when the limit was halved
	// calls counts down: to the next probe or, if full is not 0, to the end of this one. full is the limit before it.
	calls, full float64
}

func (g *gradient) Next(s Sample) float64 {
	const tolerance = 1.5
	if g.mean == 0 {
		g.mean = float64(s.Run)
	}
	g.mean += (float64(s.Run) - g.mean) / 10
	g.calls--
	switch {
	case g.full > 0 && g.calls <= 0:
		full := g.full
		g.base, g.full, g.calls = g.mean, 0, 1000+10*full
		return full
	case g.full > 0 || 2*float64(s.Running) < s.Limit:
		return s.Limit
	case g.calls <= 0:
		// Those that run already end first, and then the mean takes some to forget them.
		g.full, g.calls = s.Limit, s.Limit+30
		return s.Limit / 2
	}
	g.base = min(g.base, g.mean)
	slower := 1.0
	if g.mean > 0 {
		slower = max(0.5, min(1, tolerance*g.base/g.mean))
	}
	// A fifth of the way in as many calls as the limit, with room for a queue behind it that grows as its root does.
	return s.Limit + 0.2*(s.Limit*slower+math.Sqrt(s.Limit)-s.Limit)/s.Limit
}

// SchedLatency is a [Limiter] for work in the background that computes: it allows less of it while the scheduler is late
// by more than target, so that goroutines that answer requests find a processor. source tells how late that is now;
// looplag's Probe is one, while its Run runs. A millisecond is a target for services that answer in several.
func SchedLatency(source interface{ Overdue() time.Duration }, target time.Duration) Limiter {
	if target <= 0 {
		panic(fmt.Sprintf("executor: SchedLatency called with target %v, want more than 0", target))
	}
	if source == nil {
		panic("executor: SchedLatency called with a nil source")
	}
	return &schedLatency{source: source, target: target}
}

type schedLatency struct {
	round
	source interface{ Overdue() time.Duration }
	target time.Duration
}

func (l *schedLatency) Next(s Sample) float64 { return l.adapt(s, l.source.Overdue() > l.target, 0.1) }

// Resize changes how many calls may run at a time, as Config.Workers does, and the length of the queue if that is as many.
// Calls that wait start at once if there are more slots; if there are fewer, those that run go on, and others start when
// enough have returned. It panics if n is less than 1.
func (p *Pool) Resize(n int) {
	if n < 1 {
		panic(fmt.Sprintf("executor: Resize called with %d, want at least 1", n))
	}
	p.mu.Lock()
	defer p.unlock()
	p.workers = n
	if p.queueFollows {
		p.queue = n
	}
	if p.limiter == nil {
		p.allowed = float64(n)
	}
	p.allowLocked(p.allowed)
	if p.taken > p.limit {
		p.contendLocked()
	}
	for p.parked > n {
		w := p.idle
		p.idle = w.below
		p.parked--
		close(w.wake)
	}
}

// allowLocked sets the limit.
func (p *Pool) allowLocked(n float64) {
	p.allowed = max(1, min(n, float64(p.workers)))
	p.limit = int(math.Round(p.allowed))
	p.fillLocked()
}

// consult tells the limiter of a call that has returned.
func (p *Pool) consult(run time.Duration, abandoned bool) {
	p.limiting.Lock()
	defer p.limiting.Unlock()
	p.mu.Lock()
	s := Sample{Limit: p.allowed, Running: p.taken, Run: run, Abandoned: abandoned}
	p.mu.Unlock()
	n := p.limiter.Next(s)
	if math.IsNaN(n) {
		n = s.Limit
	}
	p.mu.Lock()
	p.allowLocked(n)
	p.unlock()
}
