package main

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"

	"github.com/grove-go/grove/looplag/shed"
)

// A law decides what a server refuses.
type law interface {
	tick(v view)
	// admit reports whether to do a request; done is called when it is done.
	admit(d *door) (done func(), ok bool)
}

var laws = map[string]func() law{
	"none":     func() law { return share(func(view) float64 { return 0 }) },
	"p90":      func() law { return share(byWindow()) },
	"newest":   func() law { return share(func(v view) float64 { return ramp(v.wait) }) },
	"runnable": func() law { return share(func(v view) float64 { return when(v.runnable > 16, maxShed) }) },
	"aimd":     func() law { return share(byAIMD()) },
	"pi":       func() law { return share(gated(newPI(ms(100)), func(v view) time.Duration { return v.wait })) },
	"pi-nogate": func() law {
		return share(gated(newPI(0), func(v view) time.Duration { return v.wait }))
	},
	"pi-runnable": func() law {
		return share(gated(newPI(ms(100)), func(v view) time.Duration { return time.Duration(v.runnable * float64(ms(1))) }))
	},
	"codel":    func() law { return &codel{} },
	"limit":    func() law { return &limit{max: 16} },
	"failsafe": func() law { return failsafe{adaptivelimiter.NewWithDefaults[any]()} },
	"grove":    func() law { return new(grove) },
	"grove-10": func() law { return &grove{policy: shed.Policy{Target: ms(10)}} },
	"grove-50": func() law { return &grove{policy: shed.Policy{Target: ms(50)}} },
}

func names() []string { return slices.Sorted(maps.Keys(laws)) }

const (
	target  = 25 * time.Millisecond
	maxShed = 0.9
)

func ms(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

func when(is bool, x float64) float64 {
	if is {
		return x
	}
	return 0
}

// ramp is 0 up to 10 ms and maxShed from 50 ms on.
func ramp(wait time.Duration) float64 {
	return maxShed * min(max(float64(wait-ms(10))/float64(ms(40)), 0), 1)
}

// A proportional law refuses a random share of the requests, which it sets at each tick.
type proportional struct {
	set    func(view) float64
	refuse atomic.Uint64 // as math.Float64bits
}

func share(set func(view) float64) law { return &proportional{set: set} }

func (p *proportional) tick(v view) { p.refuse.Store(math.Float64bits(p.set(v))) }

func (p *proportional) admit(*door) (func(), bool) {
	return func() {}, rand.Float64() >= math.Float64frombits(p.refuse.Load())
}

// byWindow is a ramp over the ninth decile of the last 2.5 s, with hysteresis: up at once, down by a tenth in 100 ms, off
// below 5 ms.
func byWindow() func(view) float64 {
	level := 0.0
	return func(v view) float64 {
		switch want := ramp(v.window.Net.P90); {
		case want >= level:
			level = want
		case v.window.Net.P90 < ms(5):
			level = max(level-0.1*float64(tick)/float64(ms(100)), 0)
		default:
			level = max(level-0.1*float64(tick)/float64(ms(100)), want)
		}
		return level
	}
}

// byAIMD adds while the wait is above target and takes off a part while it is below.
func byAIMD() func(view) float64 {
	level := 0.0
	return func(v view) float64 {
		if v.wait > target {
			level = min(level+0.02, maxShed)
		} else {
			level *= 0.95
		}
		return level
	}
}

// pi is a controller: its output is proportional to how far the wait is from the target, and to the sum of that.
type pi struct {
	patience time.Duration
	above    time.Duration // for how long the wait has been above twice the target
	sum      float64       // at most what can be refused, so that it never takes long to turn around
}

func newPI(patience time.Duration) *pi { return &pi{patience: patience} }

func (c *pi) next(wait time.Duration) float64 {
	const kp, ki = 0.01, 0.01 / 15 // per ms, and per ms and tick
	if wait > 2*target {
		c.above += tick
	} else {
		c.above = 0
	}
	e := inMS(min(wait-target, 4*target))
	if c.above <= c.patience && c.sum == 0 {
		return 0
	}
	c.sum = min(max(c.sum+ki*e, 0), maxShed)
	return min(max(c.sum+kp*e, 0), maxShed)
}

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func gated(c *pi, wait func(view) time.Duration) func(view) float64 {
	return func(v view) float64 { return c.next(wait(v)) }
}

// codel refuses single requests while the wait stays above target, the more often the longer it does.
type codel struct {
	wait  atomic.Int64
	above time.Duration

	mu       sync.Mutex
	dropping bool
	next     time.Time
	count    float64
}

func (c *codel) tick(v view) {
	c.wait.Store(int64(v.wait))
	if v.wait > target {
		c.above += tick
	} else {
		c.above = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case v.wait <= target:
		c.dropping = false
	case !c.dropping && c.above > ms(100):
		c.dropping, c.next = true, time.Now()
		c.count = max(1, c.count/2)
	}
}

func (c *codel) admit(*door) (func(), bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropping && time.Now().After(c.next) {
		c.count++
		c.next = c.next.Add(time.Duration(float64(ms(100)) / math.Sqrt(c.count)))
		return nil, false
	}
	return func() {}, true
}

// limit bounds the requests in flight: by a tenth less while the wait is above target, one more when the bound was
// reached and it is not.
type limit struct {
	mu      sync.Mutex
	max     float64
	reached bool
}

func (l *limit) tick(v view) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case v.wait > target:
		l.max = max(l.max*0.9, 1)
	case l.reached:
		l.max++
	}
	l.reached = false
}

func (l *limit) admit(d *door) (func(), bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if float64(d.inFlight.Load()) >= l.max {
		l.reached = true
		return nil, false
	}
	d.inFlight.Add(1)
	return func() { d.inFlight.Add(-1) }, true
}

// failsafe bounds the requests in flight by how long they take.
type failsafe struct {
	adaptivelimiter.AdaptiveLimiter[any]
}

func (failsafe) tick(view) {}

func (f failsafe) admit(*door) (func(), bool) {
	p, ok := f.TryAcquirePermit()
	if !ok {
		return nil, false
	}
	return p.Record, true
}

// grove is what package shed has become: the PI controller on the ages that looplag.Probe tells.
type grove struct {
	policy  shed.Policy
	shedder *shed.Shedder
}

// listen gives it the source to act on.
func (g *grove) listen(source shed.Source) { g.shedder = shed.New(source, g.policy) }

func (*grove) tick(view) {}

func (g *grove) admit(*door) (func(), bool) { return func() {}, g.shedder.Allow(shed.Normal) }
