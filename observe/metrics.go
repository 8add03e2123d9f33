package observe

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/looplag/shed"
)

// The keys of all attributes of metrics.
const (
	keyGroup     = attribute.Key("grove.group.name")
	keyOutcome   = attribute.Key("grove.outcome")
	keyExecutor  = attribute.Key("grove.executor.name")
	keyReason    = attribute.Key("grove.reason")
	keyProbe     = attribute.Key("grove.probe")
	keyCause     = attribute.Key("grove.cause")
	keyLoop      = attribute.Key("grove.loop.name")
	keyPhase     = attribute.Key("grove.phase")
	keyComponent = attribute.Key("grove.component")
	keyHook      = attribute.Key("grove.hook")
	keySource    = attribute.Key("grove.source")
	keyLint      = attribute.Key("grove.lint")
	keyPriority  = attribute.Key("grove.priority")
)

// instruments are all instruments. Histograms are told of durations soon after they were measured, at the latest when somebody
// collects; everything else is read from atomics and snapshots then, so that nobody waits for a collector.
type instruments struct {
	taskDuration, cancelLatency        metric.Float64Histogram
	queueWait, runDuration             metric.Float64Histogram
	phaseDuration, componentDuration   metric.Float64Histogram
	groups, active                     metric.Int64ObservableUpDownCounter
	tasks, panicCount                  metric.Int64ObservableCounter
	workers, workersMax                metric.Int64ObservableUpDownCounter
	queueLength, abandoned             metric.Int64ObservableUpDownCounter
	rejected, stalls, turns, lateTurns metric.Int64ObservableCounter
	delay                              [len(quantiles)]metric.Float64ObservableGauge
	overdue, runQueue, loopBusy        metric.Float64ObservableGauge
	throttled, shedLevel               metric.Float64ObservableGauge
	stallTime, turnTime                metric.Float64ObservableCounter
	shedRequests                       metric.Int64ObservableCounter
	lints                              metric.Int64ObservableGauge
}

// quantiles are those of a looplag.Dist that have a metric of their own: a gauge can be plotted without knowing how it
// came about, and a distribution over a window cannot be added up.
var quantiles = [...]struct {
	name, text string
	of         func(looplag.Dist) float64
}{
	{"p50", "Median", func(d looplag.Dist) float64 { return d.P50.Seconds() }},
	{"p90", "90th percentile", func(d looplag.Dist) float64 { return d.P90.Seconds() }},
	{"p99", "99th percentile", func(d looplag.Dist) float64 { return d.P99.Seconds() }},
	{"max", "Maximum", func(d looplag.Dist) float64 { return d.Max.Seconds() }},
}

// buckets are for durations of work: from what one wants to be fast to what one cannot wait for.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// maker makes instruments and collects the errors.
type maker struct {
	metric.Meter
	observables []metric.Observable
	errs        []error
}

func made[I any](m *maker, i I, err error) I {
	if err != nil {
		m.errs = append(m.errs, err)
		return i
	}
	if o, ok := any(i).(metric.Observable); ok {
		m.observables = append(m.observables, o)
	}
	return i
}

func (m *maker) seconds(name, text string) metric.Float64Histogram {
	i, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(text),
		metric.WithExplicitBucketBoundaries(buckets...))
	return made(m, i, err)
}

func (m *maker) number(name, unit, text string) metric.Int64ObservableUpDownCounter {
	i, err := m.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
	return made(m, i, err)
}

func (m *maker) total(name, unit, text string) metric.Int64ObservableCounter {
	i, err := m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
	return made(m, i, err)
}

func (m *maker) time(name, text string) metric.Float64ObservableCounter {
	i, err := m.Float64ObservableCounter(name, metric.WithUnit("s"), metric.WithDescription(text))
	return made(m, i, err)
}

func (m *maker) gauge(name, unit, text string) metric.Float64ObservableGauge {
	i, err := m.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
	return made(m, i, err)
}

// instrument makes all instruments.
func (o *Observer) instrument(meter metric.Meter) error {
	m := &maker{Meter: meter}
	i := &o.instruments

	i.groups = m.number("grove.taskgroup.groups", "{group}", "Groups that have not been joined.")
	i.active = m.number("grove.taskgroup.active", "{task}", "Tasks that run.")
	i.tasks = m.total("grove.taskgroup.tasks", "{task}", "Tasks that have ended.")
	i.taskDuration = m.seconds("grove.taskgroup.task.duration", "How long tasks ran.")
	i.cancelLatency = m.seconds("grove.taskgroup.cancel.latency",
		"Time from the cancellation of a group to the end of its last task.")

	i.workers = m.number("grove.executor.workers", "{worker}", "Slots that are taken.")
	i.workersMax = m.number("grove.executor.workers.max", "{worker}", "Slots that may be taken.")
	i.queueLength = m.number("grove.executor.queue.length", "{call}", "Calls that wait for a slot.")
	i.queueWait = m.seconds("grove.executor.queue.wait", "Time until a call was started.")
	i.runDuration = m.seconds("grove.executor.run.duration", "How long calls ran, for their callers.")
	i.rejected = m.total("grove.executor.rejected", "{call}", "Calls that were not started.")
	i.abandoned = m.number("grove.executor.abandoned", "{call}", "Calls that run although their callers have left.")

	for q, what := range quantiles {
		i.delay[q] = m.gauge("grove.looplag.delay."+what.name, "s", what.text+" of the delay, over the probe's window.")
	}
	i.overdue = m.gauge("grove.looplag.overdue", "s", "How late the probe is at this moment.")
	i.runQueue = m.gauge("grove.looplag.runqueue.length", "{goroutine}", "Mean number of goroutines that wait for a processor.")
	i.stalls = m.total("grove.looplag.stalls", "{stall}", "Times that lag has exceeded its bounds.")
	i.stallTime = m.time("grove.looplag.stall.time", "How long the process has been late.")
	i.throttled = m.gauge("grove.looplag.throttled.ratio", "1", "Share of the quota's periods in which the process was held back.")
	i.turns = m.total("grove.looplag.loop.turns", "{turn}", "Turns of a watched loop.")
	i.lateTurns = m.total("grove.looplag.loop.turns.late", "{turn}", "Turns that took longer than the loop's limit.")
	i.turnTime = m.time("grove.looplag.loop.time", "How long the turns of a watched loop took together.")
	i.loopBusy = m.gauge("grove.looplag.loop.busy", "s", "For how long the loop's present turn has lasted.")

	i.shedRequests = m.total("grove.looplag.shed.requests", "{request}", "Requests that were admitted or refused.")
	i.shedLevel = m.gauge("grove.looplag.shed.level", "1", "Share of the requests below critical that is refused.")

	i.phaseDuration = m.seconds("grove.shutdown.duration", "How long a phase of the stop lasted.")
	i.componentDuration = m.seconds("grove.shutdown.component.duration", "How long a component took to start, or to do its part of the stop.")

	i.panicCount = m.total("grove.panics", "{panic}", "Panics that were recovered, each counted where it began.")
	lints, err := m.Int64ObservableGauge("grove.lints", metric.WithUnit("{lint}"), metric.WithDescription("What looks wrong, see the live page."))
	i.lints = made(m, lints, err)

	if len(m.errs) > 0 {
		return errors.Join(m.errs...)
	}
	o.series.took, o.series.delay = i.taskDuration, i.cancelLatency
	_, err = m.RegisterCallback(o.collect, m.observables...)
	return err
}

// collect is called when somebody collects.
func (o *Observer) collect(_ context.Context, to metric.Observer) error {
	for _, s := range o.series.known() {
		s.tell()
		to.ObserveInt64(o.groups, s.groups.Load(), s.named)
		to.ObserveInt64(o.active, s.tasks.Load(), s.named)
		for i := range s.ended {
			if n := s.ended[i].Load(); n > 0 {
				to.ObserveInt64(o.tasks, n, s.set[i])
			}
		}
	}
	r := o.registered()
	for _, p := range r.executors {
		p.tell()
		stats := p.Stats()
		to.ObserveInt64(o.workers, int64(stats.Running), p.named)
		to.ObserveInt64(o.workersMax, int64(stats.Limit), p.named)
		to.ObserveInt64(o.queueLength, int64(stats.Queued), p.named)
		to.ObserveInt64(o.abandoned, int64(stats.Abandoned), p.named)
		for i := range p.refused {
			if n := p.refused[i].Load(); n > 0 {
				to.ObserveInt64(o.rejected, n, p.reason[i])
			}
		}
	}
	if r.probe != nil {
		o.collectLag(r.probe, to)
		o.collectLoops(r.probe, to)
	}
	if r.shedder != nil {
		o.collectShed(r.shedder.Stats(), to)
	}
	for i := range o.panics {
		to.ObserveInt64(o.panicCount, o.panics[i].Load(), metric.WithAttributes(keySource.String(source(i).String())))
	}
	lints := make(map[string]int64)
	for _, l := range o.clock.current() {
		lints[l.Code]++
	}
	for code, n := range lints {
		to.ObserveInt64(o.lints, n, metric.WithAttributes(keyLint.String(code)))
	}
	return nil
}

func (o *Observer) collectLag(probe *looplag.Probe, to metric.Observer) {
	s := probe.Snapshot()
	for _, d := range []struct {
		probe string
		looplag.Dist
	}{{"timer", s.Timer}, {"net", s.Net}, {"sched", s.Sched}} {
		if d.OK {
			for q, what := range quantiles {
				to.ObserveFloat64(o.delay[q], what.of(d.Dist), metric.WithAttributes(keyProbe.String(d.probe)))
			}
		}
	}
	to.ObserveFloat64(o.overdue, s.Overdue.Seconds())
	if s.RunQueue >= 0 {
		to.ObserveFloat64(o.runQueue, s.RunQueue)
	}
	if s.CPU.OK {
		to.ObserveFloat64(o.throttled, throttledRatio(s.CPU))
	}
	for c := range o.clock.stalls {
		cause := metric.WithAttributes(keyCause.String(looplag.Cause(c).String()))
		if n := o.clock.stalls[c].Load(); n > 0 {
			to.ObserveInt64(o.stalls, n, cause)
		}
		if d := time.Duration(o.clock.stalled[c].Load()); d > 0 {
			to.ObserveFloat64(o.stallTime, d.Seconds(), cause)
		}
	}
}

// collectLoops tells of the loops, those of a name together, and no more of them than of groups.
func (o *Observer) collectLoops(probe *looplag.Probe, to metric.Observer) {
	byName := make(map[string]looplag.LoopInfo)
	for _, l := range probe.Loops() {
		name := title(l.Name, "")
		if _, known := byName[name]; !known && len(byName) >= maxNames {
			name = otherNames
		}
		all := byName[name]
		all.Turns, all.Late, all.Spent, all.Busy = all.Turns+l.Turns, all.Late+l.Late, all.Spent+l.Spent, max(all.Busy, l.Busy)
		byName[name] = all
	}
	for name, l := range byName {
		attr := metric.WithAttributes(keyLoop.String(name))
		to.ObserveInt64(o.turns, int64(l.Turns), attr)
		to.ObserveInt64(o.lateTurns, int64(l.Late), attr)
		to.ObserveFloat64(o.turnTime, l.Spent.Seconds(), attr)
		to.ObserveFloat64(o.loopBusy, l.Busy.Seconds(), attr)
	}
}

func (o *Observer) collectShed(s shed.Stats, to metric.Observer) {
	to.ObserveFloat64(o.shedLevel, s.Share)
	for outcome, counts := range map[string]shed.Counts{"admitted": s.Admitted, "refused": s.Refused} {
		for priority, n := range map[shed.Priority]uint64{
			shed.Critical: counts.Critical, shed.Normal: counts.Normal, shed.Sheddable: counts.Sheddable,
		} {
			to.ObserveInt64(o.shedRequests, int64(n), metric.WithAttributes(
				keyPriority.String(priority.String()), keyOutcome.String(outcome)))
		}
	}
}

func throttledRatio(c looplag.CPU) float64 {
	return float64(c.ThrottledPeriods) / max(1, float64(c.Periods))
}

type count = atomic.Int64

// work counts and measures the work of one name, and has the sets of attributes for that.
type work struct {
	named metric.MeasurementOption
	set   [outcomes]metric.MeasurementOption

	groups, tasks count // live
	ended         [outcomes]count
	took          [outcomes]durations // of tasks, or calls
	delay         durations           // of ends after cancellations, or calls before their start
}

func newWork(key attribute.Key, name string, took, delay metric.Float64Histogram) *work {
	w := &work{named: metric.WithAttributeSet(attribute.NewSet(key.String(name)))}
	w.delay.histogram, w.delay.with = delay, []metric.RecordOption{w.named}
	for i := range w.set {
		w.set[i] = metric.WithAttributeSet(attribute.NewSet(key.String(name), keyOutcome.String(outcome(i).String())))
		w.took[i].histogram, w.took[i].with = took, []metric.RecordOption{w.set[i]}
	}
	return w
}

// tell tells the histograms what was kept for them.
func (w *work) tell() {
	w.delay.tell()
	for i := range w.took {
		w.took[i].tell()
	}
}

// series has the work of the groups, by their names. There are at most maxNames of them: a program that makes up names as
// it goes must not fill the memory, neither its own nor that of who stores its metrics.
type series struct {
	took, delay metric.Float64Histogram

	mu     sync.Mutex
	byName atomic.Pointer[map[string]*work] // replaced, under mu, and never changed
}

const (
	maxNames   = 200
	otherNames = "_OTHER"
)

func (s *series) of(name string) *work {
	known := s.known()
	if w := known[name]; w != nil {
		return w
	}
	if len(known) > maxNames {
		return known[otherNames]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known = s.known()
	if len(known) >= maxNames && known[name] == nil {
		name = otherNames
	}
	if w := known[name]; w != nil {
		return w
	}
	more := make(map[string]*work, len(known)+1)
	maps.Copy(more, known)
	w := newWork(keyGroup, name, s.took, s.delay)
	more[name] = w
	s.byName.Store(&more)
	return w
}

// known is the work of every name.
func (s *series) known() map[string]*work {
	if known := s.byName.Load(); known != nil {
		return *known
	}
	return nil
}
