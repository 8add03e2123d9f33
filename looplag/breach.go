package looplag

import (
	"cmp"
	"fmt"
	"path"
	"runtime/trace"
	"slices"
	"sync"
	"time"
)

// A Rule says what is to be reported and with which evidence. The zero Rule suits most programs.
type Rule struct {
	// Lag is what P90 of Net or Timer must reach: 0 means 10 ms. Stall is what a single wait must reach: 0 means
	// 100 ms.
	//
	// While the window is less than half as wide as it is to be, only Stall counts.
	Lag, Stall time.Duration
	// Cooldown is the least time between two reports of lag, and between those of two turns of the same loop. What begins
	// sooner is reported if it lasts as long. 0 means 30 s.
	Cooldown time.Duration

	// Stacks asks for the stacks of all goroutines, with their labels. The world stops for a moment.
	Stacks bool
	// Recorder is the application's flight recorder, which runs, to be asked for the last seconds. A process can have
	// only one.
	Recorder *trace.FlightRecorder
	// Profile asks for a CPU profile that begins at the breach and takes so long.
	Profile time.Duration
}

// A Breach tells that lag or a watched loop broke a [Rule]. It belongs to the function that it was given to.
type Breach struct {
	At       time.Time
	Snapshot Snapshot
	Wait     time.Duration // how late the probe was when it noticed
	// Loop is the loop that is stuck, nil if it is lag that is reported. Again says that the same turn has been reported
	// before.
	Loop  *LoopInfo
	Again bool
	// Func, File and Line are where the loop is stuck: the innermost frame outside of the standard library (which is known
	// by import paths that begin without a dot). Stack is the whole stack, followed by those of the goroutines that the
	// loop started. They are empty if the turn ended meanwhile.
	Func, File string
	Line       int
	Stack      []byte

	Stacks  []byte // as pprof's goroutine profile writes them with debug=1
	Trace   []byte // for go tool trace
	Profile []byte // for go tool pprof
	Missing error  // why a part of the evidence is missing; nil if none is

	// Suppressed is how many breaches of the rule have ended unreported since its last report, because of Cooldown or
	// because the function was still busy.
	Suppressed int
}

// String is the breach in one line.
func (b Breach) String() string {
	if b.Loop == nil {
		worst := max(b.Snapshot.Net.P90, b.Snapshot.Timer.P90, b.Wait)
		return fmt.Sprintf("looplag: %v late: %v", worst, b.Snapshot.Cause)
	}
	where := ""
	if b.File != "" {
		where = fmt.Sprintf(" in %s (%s:%d)", b.Func, path.Base(b.File), b.Line)
	}
	return fmt.Sprintf("looplag: loop %q is stuck for %v%s", b.Loop.Name, b.Loop.Busy, where)
}

// OnBreach has f called, while Run runs, whenever lag breaks the rule and whenever a loop is stuck (see [Probe.Watch]).
// Lag is reported once from its beginning to its end. f gets a goroutine of its own for each call, calls do
// not overlap, and Run does not return before f has; a panic of f is not recovered. Gathering the evidence that the
// rule asks for stops the world: these pauses do not count in [Snapshot.STW] and break no rule. The function returned
// ends the reports and does not wait for a call under way. OnBreach panics if f is nil or a field of the rule negative.
func (p *Probe) OnBreach(rule Rule, f func(Breach)) (stop func()) {
	if f == nil {
		panic("looplag: OnBreach called with a nil function")
	}
	for field, d := range map[string]time.Duration{
		"Lag": rule.Lag, "Stall": rule.Stall, "Cooldown": rule.Cooldown, "Profile": rule.Profile,
	} {
		if d < 0 {
			panic(fmt.Sprintf("looplag: Rule.%s is %v, must not be negative", field, d))
		}
	}
	rule.Lag = cmp.Or(rule.Lag, 10*time.Millisecond)
	rule.Stall = cmp.Or(rule.Stall, 100*time.Millisecond)
	rule.Cooldown = cmp.Or(rule.Cooldown, 30*time.Second)
	r := &reporter{Rule: rule, f: f, told: make(map[*Loop]report), late: make(map[*Loop]int64)}
	w := &p.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reporters = append(w.reporters, r)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.reporters = slices.DeleteFunc(w.reporters, func(other *reporter) bool { return other == r })
	}
}

// watchers is what ticks look after besides the measurements.
type watchers struct {
	mu        sync.Mutex // guards the fields, and those of their reporters; held for microseconds
	loops     []*Loop
	reporters []*reporter
}

// A reporter is a rule and its state.
type reporter struct {
	Rule
	f func(Breach)

	busy       bool             // f runs, or evidence is gathered for it
	lagging    bool             // lag broke the rule at the last tick
	untold     bool             // and that has not been reported; implies lagging
	suppressed int              // breaches that ended unreported since the last report
	told       map[*Loop]report // the last report of each loop; that of lag is nil's
	late       map[*Loop]int64  // the turns that last too long, by their beginning, and have not been reported
}

// A report is what is known of one that was made.
type report struct {
	quietUntil time.Duration // when Cooldown ends
	turn       int64         // which turn of the loop it was about
	again      time.Duration // how long that has to last to be reported again
}

// suppress counts the turn of l that has ended, unless it was reported.
func (r *reporter) suppress(l *Loop) {
	if _, ok := r.late[l]; ok {
		delete(r.late, l)
		r.suppressed++
	}
}

// judge reports what breaks a rule at a tick that was due at due: the longest wait seen just now was wait. It does not
// if the probe itself has stopped the world since the last tick.
func (t *ticks) judge(s Snapshot, due, wait time.Duration, ours bool) {
	s.Overdue = t.Overdue()
	b := Breach{Snapshot: s, Wait: wait}
	w := &t.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.reporters {
		if ours {
			break
		}
		// One late timer is most of a window that has just begun.
		old := s.Window >= t.cfg.Window/2
		lagging := wait >= r.Stall || old && max(s.Net.P90, s.Timer.P90) >= r.Lag
		if r.untold && !lagging {
			r.suppressed++
		}
		r.lagging, r.untold = lagging, lagging && (r.untold || !r.lagging)
		if r.untold && t.report(r, nil, 0, b) {
			r.untold = false
		}
	}
	for _, r := range w.reporters {
		for l, turn := range r.late {
			if l.began.Load() != turn {
				r.suppress(l)
			}
		}
	}
	for _, l := range w.loops {
		turn := l.began.Load()
		// As of when the tick was due: if the tick was held up since, so was the loop.
		busy := due + 1 - time.Duration(turn)
		if turn == 0 || busy <= l.max {
			continue
		}
		for _, r := range w.reporters {
			last := r.told[l]
			again := last.turn == turn
			switch {
			case again && busy <= last.again:
			case t.report(r, l, turn, b):
				delete(r.late, l)
			case !again:
				r.late[l] = turn
			}
		}
	}
}

// report has r's function told of b, which is about that turn of l if l is not nil, and reports whether it is not too soon
// for that. The lock of the watchers is held.
func (t *ticks) report(r *reporter, l *Loop, turn int64, b Breach) bool {
	now, last := t.now(), r.told[l]
	this := report{quietUntil: now + r.Cooldown, turn: turn}
	if l != nil {
		info := l.info(now)
		this.again = 2 * info.Busy
		b.Loop, b.Again = &info, last.turn == turn
	}
	if r.busy || !b.Again && now < last.quietUntil {
		return false
	}
	r.told[l] = this
	b.At, b.Suppressed = time.Now(), r.suppressed
	r.busy, r.suppressed = true, 0
	t.reports.Go(func() {
		defer func() {
			t.watchers.mu.Lock()
			defer t.watchers.mu.Unlock()
			r.busy = false
		}()
		t.gather(&b, r.Rule, l, turn)
		r.f(b)
	})
	return true
}

// forget makes the next Run begin without lag.
func (w *watchers) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.reporters {
		r.lagging, r.untold = false, false
	}
}
