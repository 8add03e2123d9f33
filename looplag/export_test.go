package looplag

import "time"

var Infer, Dominant, Distribution, Sum = infer, dominant, distribution, sum

func (p *Probe) Notes() (timer func(from, due, fired time.Duration), arrival func(from, due, sent, arrived time.Duration), end func(now time.Duration) Snapshot) {
	r := &p.record
	return r.tally.tracks[timerProbe].noteTimer, r.tally.tracks[netProbe].noteByte, r.advance
}

func (p *Probe) ForgetMetrics() { p.record.meter = meter{}; p.record.restart(0) }

func (p *Probe) Ticks() (next func() time.Duration, tick, end func()) {
	t := p.begin()
	return t.next, t.tick, t.end
}
