package looplag

import "time"

var (
	Infer, Dominant   = infer, dominant
	Distribution, Sum = distribution, sum
	Culprit           = culprit
)

func (p *Probe) Notes() (timer func(from, due, fired time.Duration), arrival func(from, due, sent, arrived time.Duration), end func(now time.Duration) Snapshot) {
	r := &p.record
	return r.tally.tracks[timerProbe].noteTimer, func(from, due, sent, arrived time.Duration) {
		r.tally.tracks[netProbe].noteTrip(from, due, trip{sent: sent, arrived: arrived})
	}, r.advance
}

func (p *Probe) ForgetMetrics() { p.record.meter = meter{}; p.record.restart(0) }

// Ticks returns what ticks do, tick describing the window each time or as it does while nothing is late.
func (p *Probe) Ticks(always bool) (next func() time.Duration, tick, end func()) {
	t := p.begin()
	next = func() time.Duration {
		t.next(time.Duration(t.due.Load()))
		return time.Duration(t.due.Load()) - t.now()
	}
	return next, func() {
		if always {
			t.shown = t.last - time.Hour
		}
		t.tick()
	}, t.end
}

func Settle(l [causes]time.Duration, outside time.Duration, os OS, throttled time.Duration) [causes]time.Duration {
	return suspicion{lost: l, outside: outside}.settle(reading{os: os, cpu: CPU{Throttled: throttled, OK: true}})
}

// Gather returns what gathers evidence for a report of a loop that is stuck in the calling goroutine.
func (p *Probe) Gather(rule Rule) func() {
	t := p.begin()
	l := p.Watch("hub", time.Hour)
	l.Begin()
	return func() { t.gather(new(Breach), rule, l, l.began.Load()) }
}

// GatherTooLate returns a report of a turn that ends before its evidence is gathered.
func (p *Probe) GatherTooLate() (b Breach) {
	t := p.begin()
	defer t.end()
	l := p.Watch("hub", time.Hour)
	l.Begin()
	turn := l.began.Load()
	l.End()
	t.gather(&b, Rule{}, l, turn)
	return b
}

// Ignore begins and ends what evidence that is gathered does to the measurements.
func (p *Probe) Ignore(begin bool) { p.ignorePauses(begin) }

// Suspect returns for how long many goroutines were outside while d was lost to cause.
func Suspect(cause Cause, d time.Duration, outside int) time.Duration {
	return suspicion{}.add(cause, d, 0, outside).outside
}

func Waited(lag, wait, elapsed time.Duration) time.Duration {
	return (*ticks)(nil).waited(lag, wait, elapsed)
}

// Judge reports what breaks a rule as if a tick had seen s.
func (p *Probe) Judge(s Snapshot) {
	t := p.begin()
	defer t.end()
	t.judge(s, 0, 0, false)
	t.reports.Wait()
}

// Leave sends a byte that is never seen.
func (p *Probe) Leave() { p.sent.Store(int64(p.now())) }

// Split returns what of a loss that began at from and ended at until was before at, and the rest.
func Split(l [causes]time.Duration, from, until, at time.Duration) (before, rest [causes]time.Duration) {
	b, r := suspicion{lost: l, until: until}.split(from, at)
	return b.lost, r.lost
}
