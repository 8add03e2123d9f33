package looplag

import (
	"runtime"
	"slices"
	"time"
)

// The probes that Run runs.
const (
	timerProbe = iota
	netProbe
	queueProbe
	probes
)

// A tally is what Run counts. Like the runtime's histograms it only grows, so that what happened in a window is the
// difference of two states.
type tally struct {
	tracks [probes]track
	queued float64       // goroutines that waited for a processor × nanoseconds
	polled time.Duration // over this time
	lost   lost          // to the causes that are inferred
	kernel reading

	gcWork time.Duration // of the processors for the garbage collector

	threads, notInGo int // gauges, not counters
}

// A record is the present state, what the meter read last and what was tallied, and that at the marks.
type record struct {
	width time.Duration // of the window
	meter meter
	tally tally
	fresh suspicion // what is still missing in tally.lost, because the kernel has not been read since
	marks marks

	recentTrack  track    // returned by recent
	recentCounts []uint64 // returned by counts
}

func (r *record) init(width time.Duration) {
	r.width = width
	r.meter.init()
	r.restart(0)
}

// restart begins a window at now.
func (r *record) restart(now time.Duration) {
	r.meter.read()
	r.marks.n = 0
	for i := range r.tally.tracks {
		r.tally.tracks[i].last = 0
	}
	r.mark(now)
}

// mark makes a mark of the present state.
func (r *record) mark(now time.Duration) {
	m := r.marks.push()
	r.tally.threads, r.tally.notInGo = r.meter.gauge(threads), r.meter.gauge(notInGo)
	r.tally.gcWork = r.meter.gcWork()
	m.at, m.tally = now, r.tally
	for i := range m.counts {
		m.counts[i] = append(m.counts[i][:0], r.meter.counts(i)...)
	}
	for i := range r.tally.tracks {
		r.tally.tracks[i].peak = 0
	}
}

// advance moves the end of the window to now, describes it and makes a mark if it is time for one.
func (r *record) advance(now time.Duration) Snapshot {
	for r.marks.n > 1 && now-r.marks.at(1).at >= r.width {
		r.marks.pop()
	}
	s := r.describe(now)
	if now-r.marks.at(r.marks.n-1).at >= r.width/slots {
		r.mark(now)
	}
	return s
}

// describe is the window that ends now.
func (r *record) describe(now time.Duration) Snapshot {
	old := r.marks.at(0)
	kernel := r.tally.kernel.since(old.tally.kernel)
	s := Snapshot{
		Window:     now - old.at,
		Timer:      r.dist(timerProbe),
		Net:        r.dist(netProbe),
		Queue:      r.dist(queueProbe),
		STW:        STW{GC: r.pauses(pausesGC), Other: r.pauses(pausesOther)},
		CPU:        kernel.cpu,
		Pressure:   kernel.pressure,
		OS:         kernel.os,
		GCWork:     -1,
		Threads:    r.meter.gauge(threads),
		NotInGo:    r.meter.gauge(notInGo),
		Runnable:   r.meter.gauge(runnable),
		Goroutines: runtime.NumGoroutine(),
		GOMAXPROCS: runtime.GOMAXPROCS(0),
	}
	if work := r.meter.gcWork(); work >= 0 {
		s.GCWork = work - old.tally.gcWork
	}
	if s.Threads >= 0 {
		s.NewThreads = s.Threads - old.tally.threads
	}
	if s.NotInGo >= 0 {
		s.NewNotInGo = s.NotInGo - old.tally.notInGo
	}
	s.RunQueue, s.RunQueueEstimated = -1, true
	if waits, _ := r.counts(schedLatencies); waits != nil {
		bounds := r.meter.bounds[schedLatencies]
		s.Sched = distribution(waits[r.meter.noWaits:], bounds[r.meter.noWaits:])
		// Little's law: the mean number of those who wait is the time that all of them waited, over the time.
		s.RunQueue = sampledOneIn * sum(waits, bounds) / float64(max(s.Window, 1))
	}
	if polled := r.tally.polled - old.tally.polled; polled > 0 {
		s.RunQueue, s.RunQueueEstimated = (r.tally.queued-old.tally.queued)/float64(polled), false
	}

	inferred := r.tally.lost.since(old.tally.lost).plus(r.fresh.lost)
	if s.RunQueueEstimated && s.RunQueue > float64(s.GOMAXPROCS) {
		inferred[CauseCPUSaturated] = s.Window
	}
	s.Cause = dominant(inferred, lost{
		CauseGCSTW:        s.STW.GC.Total,
		CauseOtherSTW:     s.STW.Other.Total,
		CauseCPUThrottled: min(s.CPU.Throttled, s.Window),
	}, s.Window)
	return s
}

// dist describes what a probe saw in the window.
func (r *record) dist(probe int) Dist {
	if r.tally.tracks[probe].n == r.marks.at(0).tally.tracks[probe].n {
		return Dist{}
	}
	return r.recent(probe).dist()
}

// recent is what a probe saw in the window. It is valid until the next call.
func (r *record) recent(probe int) *track {
	k, now, old := &r.recentTrack, &r.tally.tracks[probe], &r.marks.at(0).tally.tracks[probe]
	if now.n == old.n {
		*k = track{last: now.last}
		return k
	}
	k.n, k.last, k.peak = now.n-old.n, now.last, now.peak
	for i := range k.waits {
		k.waits[i] = now.waits[i] - old.waits[i]
	}
	for i := 1; i < r.marks.n; i++ {
		k.peak = max(k.peak, r.marks.at(i).tally.tracks[probe].peak)
	}
	return k
}

// counts is what one of the runtime's histograms counted in the window, and how much that is in all; nil if it is not
// measured. It is valid until the next call.
func (r *record) counts(histogram int) (diff []uint64, total uint64) {
	now, old := r.meter.counts(histogram), r.marks.at(0).counts[histogram]
	if now == nil {
		return nil, 0
	}
	r.recentCounts = slices.Grow(r.recentCounts[:0], len(now))[:len(now)]
	diff = r.recentCounts
	for i, n := range old[:len(diff)] {
		diff[i] = now[i] - n
		total += diff[i]
	}
	return diff, total
}

// pauses describes the stops of the world of one kind.
func (r *record) pauses(histogram int) Pauses {
	counts, n := r.counts(histogram)
	if n == 0 {
		return Pauses{OK: counts != nil}
	}
	bounds := r.meter.bounds[histogram]
	return Pauses{
		N:     n,
		Total: time.Duration(sum(counts, bounds)),
		Max:   distribution(counts, bounds).Max,
		OK:    true,
	}
}
