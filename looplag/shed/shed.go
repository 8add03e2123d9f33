package shed

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A Source tells how late the process is. A *looplag.Probe that runs is one.
type Source interface {
	// Overdue returns for how long what should have happened by now has been due; 0 when nothing is late or nobody looks.
	// It must not block.
	Overdue() time.Duration
}

const (
	// calm and brisk are the times between two looks at the source: while requests come and nothing is late, and while
	// something is.
	calm  = 50 * time.Millisecond
	brisk = 10 * time.Millisecond
	// memory is over which time the rates of requests are averaged.
	memory = time.Second
)

// A Shedder decides which requests to refuse. Its methods may be called by several goroutines at once. Use [New].
type Shedder struct {
	source Source
	policy Policy
	retry  []string // the values of Retry-After

	verdict atomic.Uint64 // a verdict; written under mu
	counts  [priorities]struct{ admitted, refused atomic.Uint64 }

	mu      sync.Mutex          // guards what follows; held for less than a microsecond
	control controller          // made anew by each wake
	timer   *time.Timer         // calls look; nil before the first request
	busy    time.Time           // when a look last found new requests
	seen    [priorities]uint64  // how many there were at the last look
	rate    [priorities]float64 // of requests, per second, over about the last memory
}

// A verdict is what to refuse, in a word, so that Allow loads once: below bit 16 the share of Normal requests in
// parts of 65,536, above it that of Sheddable ones, and at bit 32 whether the next look is due. If it is not, nothing is
// refused, and the next request orders it.
type verdict uint64

const (
	asleep verdict = 0
	open   verdict = 1 << 32
)

func (v verdict) refuses(p Priority) uint32 { return uint32(v>>(16*p)) & 0xffff }

// newVerdict refuses share of the requests that come at the given rates: Sheddable ones first, and of each priority at
// most maxShed.
func newVerdict(share float64, rate [priorities]float64) verdict {
	excess := share * (rate[Normal] + rate[Sheddable])
	v := open
	for _, p := range []Priority{Sheddable, Normal} {
		if excess > 0 && rate[p] > 0 {
			s := min(excess/rate[p], maxShed)
			excess -= s * rate[p]
			v |= verdict(s*0x10000) << (16 * p)
		}
	}
	return v
}

// New returns a Shedder that acts on what source, a *looplag.Probe, tells. It starts nothing; while requests come, it
// looks at the source from a timer. It panics if source is nil or a field of policy is out of its bounds.
func New(source Source, policy Policy) *Shedder {
	if source == nil {
		panic("shed: New called with a nil source")
	}
	policy = policy.complete()
	return &Shedder{source: source, policy: policy, retry: retries(policy.RetryAfter)}
}

// Allow reports whether to do a request of priority p, and counts it: for servers that do not speak HTTP, and work
// that nobody asked for. It does not block, and allocates nothing. As long as nothing is refused it costs an atomic
// load and the counting (BenchmarkAllow). It panics if p is none of the three priorities.
func (s *Shedder) Allow(p Priority) bool {
	if p >= priorities {
		panic(fmt.Sprintf("shed: Allow called with %v", p))
	}
	c := &s.counts[p]
	if v := verdict(s.verdict.Load()); v != open {
		if v == asleep {
			s.wake()
		} else if p != Critical && rand.Uint32()&0xffff < v.refuses(p) {
			c.refused.Add(1)
			return false
		}
	}
	c.admitted.Add(1)
	return true
}

func (s *Shedder) mustBeMade() {
	if s.source == nil {
		panic("shed: a Shedder that New has not made")
	}
}

// wake orders the next look.
func (s *Shedder) wake() {
	s.mustBeMade() // or a look, from a timer, would end the process
	s.mu.Lock()
	defer s.mu.Unlock()
	if verdict(s.verdict.Load()) != asleep {
		return
	}
	s.verdict.Store(uint64(open))
	s.busy = time.Now()
	s.control = controller{target: s.policy.Target, last: s.busy}
	if s.timer == nil {
		s.timer = time.AfterFunc(calm, s.look)
	} else {
		s.timer.Reset(calm)
	}
}

// look decides what to refuse until the next look, which it orders as long as there are requests.
func (s *Shedder) look() {
	age := s.source.Overdue() // the source's code, so not under the lock
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.measure(now)
	s.control.look(now, age)
	if s.rate[Normal]+s.rate[Sheddable] < float64(s.policy.MinVolume) {
		s.control.off()
	}
	switch {
	case now.Sub(s.busy) >= memory:
		s.rate = [priorities]float64{}
		s.verdict.Store(uint64(asleep))
	case s.control.on():
		s.verdict.Store(uint64(newVerdict(s.control.share, s.rate)))
		s.timer.Reset(brisk)
	case s.control.wait() > s.policy.Target:
		s.verdict.Store(uint64(open))
		s.timer.Reset(brisk)
	default:
		s.verdict.Store(uint64(open))
		s.timer.Reset(calm)
	}
}

// measure brings the rates up to date, before the controller looks.
func (s *Shedder) measure(now time.Time) {
	elapsed := now.Sub(s.control.last)
	for p := range s.counts {
		c := &s.counts[p]
		n := c.admitted.Load() + c.refused.Load()
		if n != s.seen[p] {
			s.busy = now
		}
		s.rate[p] *= max(0, 1-elapsed.Seconds()/memory.Seconds())
		s.rate[p] += float64(n-s.seen[p]) / max(elapsed, memory).Seconds()
		s.seen[p] = n
	}
}

// Stats is what a [Shedder] has done, as a value.
type Stats struct {
	// Share is which part of the requests below Critical is being refused, from 0 to 0.9.
	Share float64
	// Wait is how long requests wait before they run, as far as the Shedder knows.
	Wait time.Duration
	// Admitted and Refused count requests since New.
	Admitted, Refused Counts
}

// Counts has a count for each [Priority]. Refused requests are never Critical.
type Counts struct{ Normal, Sheddable, Critical uint64 }

// Stats returns what s has done so far. It does not block.
func (s *Shedder) Stats() Stats {
	counts := func(of func(Priority) *atomic.Uint64) Counts {
		return Counts{of(Normal).Load(), of(Sheddable).Load(), of(Critical).Load()}
	}
	stats := Stats{
		Admitted: counts(func(p Priority) *atomic.Uint64 { return &s.counts[p].admitted }),
		Refused:  counts(func(p Priority) *atomic.Uint64 { return &s.counts[p].refused }),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if verdict(s.verdict.Load()) != asleep {
		stats.Share, stats.Wait = s.control.share, s.control.wait()
	}
	return stats
}
