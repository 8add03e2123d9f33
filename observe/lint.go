package observe

import (
	"fmt"
	"slices"
	"time"

	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/looplag/shed"
	"github.com/grove-go/grove/taskgroup"
)

// Lint is something that looks wrong. The live page shows lints, the log has them when they begin, and the metric
// grove.lints counts them by code.
type Lint struct {
	// Code is one of the codes in docs/observe.md, and About what it is about: the name of a group, of an
	// executor, of a loop, or nothing.
	Code  string `json:"code"`
	About string `json:"about,omitempty"`
	// Text is a sentence for who is on call.
	Text  string    `json:"text"`
	Since time.Time `json:"since"`
}

// finder looks for lints.
type finder struct {
	now   time.Time
	found []Lint
}

// add adds a lint, unless there is one of the same code about the same: one of a hundred stuck groups of a name tells
// enough, and which is the oldest, since that comes first.
func (f *finder) add(code, about, format string, args ...any) {
	for _, l := range f.found {
		if l.Code == code && l.About == about {
			return
		}
	}
	f.found = append(f.found, Lint{Code: code, About: about, Text: fmt.Sprintf(format, args...)})
}

// patience is how long after its cancellation or its deadline a group may run before that is a lint.
const patience = time.Second

func (f *finder) groups(trees []taskgroup.GroupInfo) {
	for _, g := range trees {
		name := title(g.Name, g.Func)
		culprit := ""
		if len(g.Tasks) > 0 {
			culprit = ": " + title(g.Tasks[0].Name, g.Tasks[0].Func)
		}
		switch {
		case g.Running == 0:
		case !g.Canceled.IsZero() && f.now.Sub(g.Canceled) > patience:
			f.add("canceled_running", name, "%s was canceled %v ago and %d of its tasks still run%s",
				name, seconds(f.now.Sub(g.Canceled)), g.Running, culprit)
		case !g.Deadline.IsZero() && f.now.Sub(g.Deadline) > patience:
			f.add("past_deadline", name, "%s is %v past its deadline and %d of its tasks still run%s",
				name, seconds(f.now.Sub(g.Deadline)), g.Running, culprit)
		}
		f.groups(g.Groups)
	}
}

func (f *finder) executors(executors []*pool, full map[*pool]time.Time) {
	for _, p := range executors {
		s := p.Stats()
		if since, ok := full[p]; ok && f.now.Sub(since) >= 10*time.Second {
			f.add("executor_full", p.name, "%s has been full for %v: %d calls run and %d wait",
				p.name, seconds(f.now.Sub(since)), s.Running, s.Queued)
		}
		if s.Stuck > 0 {
			f.add("stuck", p.name, "%d of the calls of %s have been running for longer than they should, for up to %v",
				s.Stuck, p.name, seconds(s.Oldest))
		}
		if s.Abandoned > 0 {
			f.add("abandoned", p.name, "%d calls of %s run although their callers have left, for up to %v",
				s.Abandoned, p.name, seconds(s.OldestAbandoned))
		}
	}
}

func (f *finder) descriptors(d descriptors) {
	if d.OK && d.Limit > 0 && d.Open > d.Limit*4/5 {
		f.add("descriptors", "", "%d of %d descriptors are open", d.Open, d.Limit)
	}
}

func (f *finder) shedding(s shed.Stats) {
	if s.Share > 0 {
		f.add("shedding", "", "%.0f %% of the requests below critical are refused, since they would wait for %v", 100*s.Share, seconds(s.Wait))
	}
}

// worstDelay is how long what should happen waits, and isLate whether that is too long.
func worstDelay(s looplag.Snapshot) time.Duration { return max(s.Net.P90, s.Timer.P90, s.Overdue) }
func isLate(s looplag.Snapshot) bool              { return worstDelay(s) >= 10*time.Millisecond }

func (f *finder) lag(s looplag.Snapshot, loops []looplag.LoopInfo, samples []sample) {
	if isLate(s) {
		f.add("late", "", "requests wait for %v until they are noticed: %v", seconds(worstDelay(s)), s.Cause)
	}
	if s.CPU.OK && throttledRatio(s.CPU) > 0.05 {
		f.add("throttled", "", "the CPU quota has held the process back in %.0f %% of the periods", 100*throttledRatio(s.CPU))
	}
	for _, l := range loops {
		if l.Busy > l.Max {
			name := title(l.Name, "")
			f.add("loop_busy", name, "the loop %s has been busy for %v, and may be for %v", name, seconds(l.Busy), seconds(l.Max))
		}
	}
	// Threads are never given back. A process that has just started has few.
	since := slices.IndexFunc(samples, func(old sample) bool { return f.now.Sub(old.at) <= 10*time.Second })
	if since >= 0 {
		before := samples[since].threads
		if s.Threads >= before+before/2 && s.Threads >= 16 && s.NotInGo >= 4*s.GOMAXPROCS {
			f.add("threads", "", "threads have grown from %d to %d in 10 s, with %d goroutines in system calls: call what blocks through an executor",
				before, s.Threads, s.NotInGo)
		}
	}
}
