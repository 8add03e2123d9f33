package looplag

import (
	"sync"
	"time"
)

// ticks is the state of one Run. It belongs to Run's goroutine.
type ticks struct {
	*Probe
	kernel   *kernel
	courier  *courier
	hopper   *hopper
	net      errand        // of the courier
	queue    errand        // of the hopper
	interval time.Duration // until the next tick
	period   time.Duration // of the ticker
	last     time.Duration // when the last tick was
	shown    time.Duration // when the last Snapshot was published
	demand   int           // how many goroutines ran or wanted to at the last tick
	silent   bool          // the tick orders nothing

	done      <-chan struct{} // closed when Run is to end
	reports   sync.WaitGroup  // of breaches
	gathering chan struct{}   // holds a value while evidence is gathered, by one report at a time
}

// begin starts a window, to be ended by end.
func (p *Probe) begin() *ticks {
	k := openKernel(p.cfg.Root, p.now)
	now := p.now()
	c := &courier{
		route:  route{now: p.now, sent: &p.sent},
		orders: make(chan struct{}, 1), failed: make(chan error, 2),
	}
	h := &hopper{
		route: route{now: p.now, sent: &p.hopped},
		wake:  make(chan struct{}, 1), push: make(chan struct{}, 1),
	}
	t := &ticks{
		Probe: p, kernel: k, courier: c, hopper: h,
		net:      errand{route: &c.route, probe: netProbe, noted: now},
		queue:    errand{route: &h.route, probe: queueProbe, noted: now},
		interval: p.cfg.Interval, silent: true, last: now, shown: now,
		gathering: make(chan struct{}, 1),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.tally.kernel = *k.reading.Load()
	t.record.restart(now)
	t.publish(t.record.advance(now))
	return t
}

// end leaves behind what the runtime alone tells. Everything that Run has started must have ended.
func (t *ticks) end() {
	t.kernel.close()
	t.watchers.forget()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.tally.kernel = reading{}
	t.record.fresh = suspicion{}
	t.record.restart(t.now())
	t.view.Store(nil)
	t.due.Store(0)
	t.sent.Store(0)
}

func (t *ticks) publish(s Snapshot) { t.view.Store(&s) }

// next says when the next tick is due, the last one having fired at fired, and whether the ticker is to be reset for that.
// As long as ticks are in time it is not: that costs the runtime a wake-up. Otherwise the next one is due an interval
// after the last one began, so that whatever holds up this goroutine before the reset makes it late.
func (t *ticks) next(fired time.Duration) (reset bool) {
	due := fired + t.interval
	if t.interval != t.period || due <= t.now() {
		due, t.period, reset = t.last+t.interval, t.interval, true
	}
	t.due.Store(int64(due))
	return reset
}

// tick notes how late it is and how late the last trips were, publishes how the window looks, and reports what is wrong
// with it.
func (t *ticks) tick() {
	now, due := t.now(), time.Duration(t.due.Load())
	lag, wait := now-due, t.net.see(now)
	t.queue.see(now)
	lost := t.waited(lag, wait, now-t.last)
	t.setPace(now, lost > 0)

	ours := t.note(now, due, lost)
	if lost > 0 || now-t.shown >= min(minGap, t.cfg.Window/slots) { // describing costs more than the rest of a tick
		t.shown = now
		t.publish(t.describe(now))
	}
	if !t.silent {
		if t.cfg.Queue && t.hopper.ready(t.queue.ordered) && t.queue.order(due) {
			t.hopper.hop()
		}
		if t.net.order(due) {
			t.courier.orders <- struct{}{} // there is room: the last order has been carried out
		}
		age := t.cfg.Window / 2
		if t.record.fresh.sum() > 0 { // there are causes to settle
			age = t.cfg.Window / slots
		}
		t.kernel.order(now, age)
	}
	t.judge(*t.view.Load(), due, max(lag, wait), ours)
}

// note adds what a tick saw to the record and returns whether the probe itself has stopped the world since the last tick:
// then the time that was lost has no cause.
func (t *ticks) note(now, due, lost time.Duration) (ours bool) {
	elapsed := now - t.last
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.record
	ours = r.meter.ours || t.ignored > t.last
	r.meter.read()
	r.tally.tracks[timerProbe].noteTimer(t.last, due, now)
	t.net.note(r)
	t.queue.note(r)
	waiting := r.meter.gauge(runnable)
	if waiting >= 0 {
		r.tally.queued += float64(waiting) * float64(elapsed)
		r.tally.polled += elapsed
	}
	if k := t.kernel.reading.Load(); k.at != r.tally.kernel.at {
		// What was lost since it was read waits for the next reading.
		known, fresh := r.fresh.split(r.tally.kernel.at, k.at)
		r.tally.lost = r.tally.lost.plus(known.settle(k.since(r.tally.kernel)))
		r.tally.kernel, r.fresh = *k, fresh
	}
	demand := r.meter.gauge(running) + waiting - 1 // without this goroutine
	if lost > 0 && !ours {
		outside := r.meter.gauge(notInGo)
		cause := infer(max(demand, t.demand), outside, now-due)
		r.fresh = r.fresh.add(cause, lost, now, outside)
	}
	t.demand, t.last = demand, now
	return ours
}

// describe describes the window that ends now.
func (t *ticks) describe(now time.Duration) Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.record.advance(now)
	t.net.include(&s.Net, &t.record)
	t.queue.include(&s.Queue, &t.record)
	return s
}

// waited is for how much of the time that elapsed since the last tick something was late: this tick, by lag, or the
// byte, by wait.
func (t *ticks) waited(lag, wait, elapsed time.Duration) (d time.Duration) {
	if lag >= late {
		d = lag
	}
	if wait >= late {
		d += wait
	}
	return min(d, elapsed)
}

// minGap is the least time between two bytes while nothing is late.
const minGap = 10 * time.Millisecond

// setPace makes the ticks frequent while something is late and rare while nothing is. Then no two ticks in a row order
// a byte, and none does within minGap of the last, because a byte costs as much as some ticks.
func (t *ticks) setPace(now time.Duration, isLate bool) {
	if isLate {
		t.interval, t.silent = t.cfg.Interval, false
	} else {
		t.interval = min(2*t.interval, t.cfg.IdleInterval)
		t.silent = !t.silent || t.net.ordered > 0 && now-t.net.due < minGap
	}
}
