package observe

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/taskgroup"
)

// period is how often the clock ticks.
const period = time.Second

// clock is what happens once in a period: samples for the curves, and a look for what seems wrong, which must not depend
// on something happening: what hangs does nothing.
type clock struct {
	stalls  [looplag.CauseUnknown + 1]count // breaches by cause
	stalled [looplag.CauseUnknown + 1]count // for how many nanoseconds the process has been late, by cause

	mu       sync.Mutex
	last     time.Time // of the last tick
	samples  ring[sample]
	breaches ring[breach]
	lints    []Lint
	untold   []Lint              // those of them that are not in the log yet
	full     map[*pool]time.Time // since when the queue of the pool has been full

	descriptors descriptors
}

// curve is how many samples a curve has.
const curve = 60

// sample is one point of the curves.
type sample struct {
	at                                   time.Time
	net, timer, sched                    time.Duration // P99
	runQueue                             float64
	goroutines, threads, notInGo, groups int
}

type breach struct {
	At    time.Time `json:"at"`
	Text  string    `json:"text"`
	Cause string    `json:"cause"`
	Place string    `json:"place,omitempty"` // where a loop is stuck
	Stack string    `json:"stack,omitempty"`
}

// Run looks once a second for what seems wrong, logs it when it begins, and keeps the curves of the live page, until ctx
// ends. It returns nil then: it is made to be the Run of a [shutdown.Component]. It needs not run: without it, looking at the
// page is what makes the clock tick, and lints are not logged.
func (o *Observer) Run(ctx context.Context) error {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			trees, live := o.hooks.Groups(maxGroups, 1)
			o.tick(now, trees, live)
			for _, l := range o.clock.unlogged() {
				o.log(root, slog.LevelWarn, "lint", slog.String("lint", l.Code), slog.String("about", l.About), slog.String("text", l.Text))
			}
		}
	}
}

// tick takes a sample and looks for lints, unless that has been done in this period. It logs nothing: the page, which makes
// the clock tick, too, has to come when the log is what is stuck.
func (o *Observer) tick(now time.Time, trees []taskgroup.GroupInfo, live int) {
	c := &o.clock
	c.mu.Lock()
	first, since := c.last.IsZero(), now.Sub(c.last)
	due := since >= period*9/10
	if due {
		c.last = now
	}
	c.mu.Unlock()
	if !due {
		return
	}
	r := o.registered()
	open := countDescriptors()
	s := sample{at: now, groups: live}
	var snapshot looplag.Snapshot
	if r.probe != nil {
		snapshot = r.probe.Snapshot()
		if isLate(snapshot) && !first {
			c.stalled[snapshot.Cause].Add(int64(min(since, 2*period)))
		}
		s.net, s.timer, s.sched = snapshot.Net.P99, snapshot.Timer.P99, snapshot.Sched.P99
		s.runQueue, s.goroutines = snapshot.RunQueue, snapshot.Goroutines
		s.threads, s.notInGo = snapshot.Threads, snapshot.NotInGo
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.descriptors = open
	c.samples.add(s)
	f := finder{now: now}
	f.groups(trees)
	f.executors(r.executors, c.fullLocked(r.executors, now))
	f.descriptors(open)
	if r.shedder != nil {
		f.shedding(r.shedder.Stats())
	}
	if r.probe != nil {
		f.lag(snapshot, r.probe.Loops(), c.samples.oldestFirst())
	}
	c.replaceLocked(f.found, now)
}

// fullLocked notes since when queues have been full, and returns it.
func (c *clock) fullLocked(executors []*pool, now time.Time) map[*pool]time.Time {
	full := make(map[*pool]time.Time)
	for _, p := range executors {
		if s := p.Stats(); s.Running >= s.Limit && s.Queued >= s.Queue {
			full[p] = now
			if since, ok := c.full[p]; ok {
				full[p] = since
			}
		}
	}
	c.full = full
	return full
}

// replaceLocked replaces the lints by those found now. Those that the log has not told of yet are kept for it as long as they
// last.
func (c *clock) replaceLocked(found []Lint, now time.Time) {
	var untold []Lint
	for i := range found {
		l := &found[i]
		l.Since = now
		same := func(old Lint) bool { return old.Code == l.Code && old.About == l.About }
		before := slices.IndexFunc(c.lints, same)
		if before >= 0 {
			l.Since = c.lints[before].Since
		}
		if before < 0 || slices.ContainsFunc(c.untold, same) {
			untold = append(untold, *l)
		}
	}
	c.lints, c.untold = found, untold
}

// unlogged returns the lints that the caller is to log.
func (c *clock) unlogged() []Lint {
	c.mu.Lock()
	defer c.mu.Unlock()
	untold := c.untold
	c.untold = nil
	return untold
}

// current returns the lints of the last tick.
func (c *clock) current() []Lint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Lint{}, c.lints...)
}

// history returns the newest samples, oldest first, and the breaches, newest first.
func (c *clock) history() ([]sample, []breach) {
	c.mu.Lock()
	defer c.mu.Unlock()
	samples := c.samples.oldestFirst()
	return samples[max(0, len(samples)-curve):], c.breaches.newestFirst()
}

// breached counts, logs and keeps a breach.
func (o *Observer) breached(b looplag.Breach) {
	kept := breach{At: b.At, Text: clean(b.String(), longestText), Cause: b.Snapshot.Cause.String(), Place: place(b.File, b.Line), Stack: string(b.Stack)}
	attrs := []slog.Attr{slog.String("breach", kept.Text)}
	if b.Loop == nil {
		o.clock.stalls[b.Snapshot.Cause].Add(1)
		attrs = append(attrs, slog.String("cause", kept.Cause))
	} else {
		attrs = append(attrs, slog.String("loop", title(b.Loop.Name, "")), slog.String("at", kept.Place))
	}
	o.clock.mu.Lock()
	o.clock.breaches.add(kept)
	o.clock.mu.Unlock()
	o.log(root, slog.LevelWarn, "late", attrs...)
}

// open returns what the last tick has counted.
func (c *clock) open() descriptors {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.descriptors
}
