package looplag

import "time"

var Infer, Dominant, Distribution, Sum = infer, dominant, distribution, sum

func (p *Probe) Notes() (timer func(from, due, fired time.Duration), arrival func(from, due, sent, arrived time.Duration), end func(now time.Duration) Snapshot) {
	r := &p.record
	return r.tally.tracks[timerProbe].noteTimer, func(from, due, sent, arrived time.Duration) {
		r.tally.tracks[netProbe].noteTrip(from, due, trip{sent: sent, arrived: arrived})
	}, r.advance
}

func (p *Probe) ForgetMetrics() { p.record.meter = meter{}; p.record.restart(0) }

func (p *Probe) Ticks() (next func() time.Duration, tick, end func()) {
	t := p.begin()
	return t.next, t.tick, t.end
}

func Settle(l [causes]time.Duration, outside time.Duration, os OS, throttled time.Duration) [causes]time.Duration {
	return suspicion{l, outside}.settle(reading{os: os, cpu: CPU{Throttled: throttled, OK: true}})
}
