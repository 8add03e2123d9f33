package looplag

import (
	"runtime/metrics"
	"time"
)

// What the runtime measures.
const (
	schedLatencies = iota
	pausesGC
	pausesOther
	threads
	notInGo
	runnable
	running
	measures

	histograms = threads // those before are histograms, those from here on gauges
)

// sampledOneIn is how many waits there are for each one that the runtime records in schedLatencies (gTrackingPeriod).
const sampledOneIn = 8

// A meter reads the runtime's measures. One that the runtime does not know is not measured.
type meter struct {
	samples [measures]metrics.Sample
	bounds  [histograms][]float64 // of the buckets, in nanoseconds
	noWaits int                   // how many buckets of schedLatencies are below 64 ns

	// The probe's own pauses do not count: own has those among pausesOther, and shown is what that was without them.
	// While ours is set every pause is taken for the probe's own, so shown stands still.
	ours       bool
	own, shown []uint64
}

func (m *meter) init() {
	for i, name := range [measures]string{
		schedLatencies: "/sched/latencies:seconds",
		pausesGC:       "/sched/pauses/total/gc:seconds",
		pausesOther:    "/sched/pauses/total/other:seconds",
		threads:        "/sched/threads/total:threads",
		notInGo:        "/sched/goroutines/not-in-go:goroutines",
		runnable:       "/sched/goroutines/runnable:goroutines",
		running:        "/sched/goroutines/running:goroutines",
	} {
		m.samples[i].Name = name
	}
	m.read()
	for i := range m.bounds {
		if m.counts(i) == nil {
			continue
		}
		for _, seconds := range m.samples[i].Value.Float64Histogram().Buckets {
			m.bounds[i] = append(m.bounds[i], seconds*float64(time.Second))
		}
	}
	// Stack growth and the like are recorded as waits of no length and would drown the others.
	for m.noWaits+1 < len(m.bounds[schedLatencies]) && m.bounds[schedLatencies][m.noWaits+1] < 65 {
		m.noWaits++
	}
}

// read reads all measures. It allocates nothing after the first time, because metrics.Read uses the memory of a
// sample's histogram again.
func (m *meter) read() {
	metrics.Read(m.samples[:])
	counts := m.counts(pausesOther)
	if m.shown == nil {
		m.own, m.shown = make([]uint64, len(counts)), make([]uint64, len(counts))
	}
	for i := range counts {
		if m.ours {
			m.own[i] = counts[i] - m.shown[i]
		}
		counts[i] -= m.own[i]
		m.shown[i] = counts[i]
	}
}

// counts is a histogram as read last, overwritten by the next reading; nil if it is not measured.
func (m *meter) counts(histogram int) []uint64 {
	if v := m.samples[histogram].Value; v.Kind() == metrics.KindFloat64Histogram {
		return v.Float64Histogram().Counts
	}
	return nil
}

// gauge is a gauge as read last, -1 if it is not measured.
func (m *meter) gauge(gauge int) int {
	if v := m.samples[gauge].Value; v.Kind() == metrics.KindUint64 {
		return int(v.Uint64())
	}
	return -1
}
