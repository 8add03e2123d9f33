package looplag

import (
	"sync"
	"time"
)

// ticks is the state of one Run. It belongs to Run's goroutine.
type ticks struct {
	*Probe
	courier  *courier
	interval time.Duration // until the next tick
	last     time.Duration // when the last tick was
	demand   int           // how many goroutines ran or wanted to at the last tick

	silent   bool          // the tick orders no byte
	ordered  uint64        // how many bytes have been
	orderDue time.Duration // when the tick that ordered the last one was due
	open     bool          // the arrival of that one has not been noted
	noted    time.Duration // when the last byte that was noted arrived

	done      <-chan struct{} // closed when Run is to end
	reports   sync.WaitGroup  // of breaches
	gathering chan struct{}   // holds a value while evidence is gathered, by one report at a time
}

// begin starts a window, to be ended by end.
func (p *Probe) begin() *ticks {
	group := openCgroup(p.cfg.Root)
	cpu, now := group.read(), p.now()
	c := &courier{
		now: p.now, orders: make(chan struct{}, 1), failed: make(chan error, 2),
		sent: &p.sent, cgroup: group, every: p.cfg.Window / slots,
	}
	c.cpu.Store(&cpu)
	t := &ticks{
		Probe: p, courier: c, interval: p.cfg.Interval, silent: true, last: now, noted: now,
		gathering: make(chan struct{}, 1),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.tally.cpu = cpu
	t.record.restart(now)
	t.publish(t.record.advance(now))
	return t
}

// end leaves behind what the runtime alone tells. The courier must have ended.
func (t *ticks) end() {
	t.courier.cgroup.close()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.tally.cpu = CPU{}
	t.record.restart(t.now())
	t.view.Store(nil)
	t.due.Store(0)
	t.sent.Store(0)
}

func (t *ticks) publish(s Snapshot) { t.view.Store(&s) }

// next returns how long to wait for the next tick. It is due an interval after the last one began, so that whatever
// holds up this goroutine in between makes it late.
func (t *ticks) next() time.Duration {
	due := t.last + t.interval
	t.due.Store(int64(due))
	return due - t.now()
}

// tick notes how late it is and how late the last byte was, publishes how the window looks now, and reports what is
// wrong with it.
func (t *ticks) tick() {
	now, due := t.now(), time.Duration(t.due.Load())
	var b trip
	var arrived bool
	if t.open {
		b, arrived = t.courier.position(t.ordered, now)
	}
	lost := t.waited(now-due, b, now-t.last)
	t.setPace(lost > 0)

	s, ours := t.note(now, due, lost, b, arrived)
	t.publish(s)
	if !t.open && !t.silent {
		t.open, t.orderDue = true, due
		t.ordered++
		t.courier.orders <- struct{}{} // there is room: the last order has been carried out
	}
	t.judge(s, due, max(now-due, b.arrived-b.sent), ours)
}

// note adds what a tick saw to the record and returns how the window looks, and whether the probe itself has stopped the
// world since the last tick: then it is not asked why so much was lost.
func (t *ticks) note(now, due, lost time.Duration, b trip, arrived bool) (s Snapshot, ours bool) {
	elapsed := now - t.last
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.record
	ours = r.meter.ours || t.ignored > t.last
	r.meter.read()
	r.tally.cpu = *t.courier.cpu.Load()
	r.tally.tracks[timerProbe].noteTimer(t.last, due, now)
	if arrived {
		r.tally.tracks[netProbe].noteByte(t.noted, t.orderDue, b.sent, b.arrived)
		t.open, t.noted = false, b.arrived
	}
	waiting := r.meter.gauge(runnable)
	if waiting >= 0 {
		r.tally.queued += float64(waiting) * float64(elapsed)
		r.tally.polled += elapsed
	}
	demand := r.meter.gauge(running) + waiting - 1 // without this goroutine
	if !ours {
		r.tally.lost[infer(max(demand, t.demand), r.meter.gauge(notInGo), now-due)] += lost
	}
	t.demand, t.last = demand, now

	s = r.advance(now)
	if t.open {
		net := r.recent(netProbe)
		net.noteByte(t.noted, t.orderDue, b.sent, b.arrived)
		s.Net = net.dist()
	}
	return s, ours
}

// waited is for how much of the time that elapsed since the last tick something was late: this tick, by lag, or the
// byte of trip b.
func (t *ticks) waited(lag time.Duration, b trip, elapsed time.Duration) time.Duration {
	var waited time.Duration
	if lag >= late {
		waited = lag
	}
	if wait := b.arrived - b.sent; wait >= late {
		waited += wait
	}
	return min(waited, elapsed)
}

// setPace makes the ticks frequent while something is late and rare while nothing is. Then every second tick is
// silent, because a byte costs as much as the tick itself.
func (t *ticks) setPace(isLate bool) {
	if isLate {
		t.interval, t.silent = t.cfg.Interval, false
	} else {
		t.interval, t.silent = min(2*t.interval, t.cfg.IdleInterval), !t.silent
	}
}
