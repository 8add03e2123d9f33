package observe

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// text writes the state for a terminal.
func (s *state) text(to io.Writer) {
	w := newTextWriter(to)
	defer w.w.Flush() //nolint:errcheck // the client may have left
	p := s.Process
	w.line("%s  pid %d  up %v  %s", p.Name, p.PID, p.Up, strings.TrimSpace(p.Go+" "+p.Version))
	w.line("%s  GOMAXPROCS %d  %d goroutines%s", s.At.Format(time.RFC3339), p.GOMAXPROCS, p.Goroutines, p.Descriptors.text())

	w.title("Lints")
	if len(s.Lints) == 0 {
		w.line("  none: nothing looks wrong")
	}
	for _, l := range s.Lints {
		w.fold("! ", fmt.Sprintf("%s (for %v)", l.Text, seconds(s.At.Sub(l.Since))))
	}
	if s.Lag != nil {
		w.lag(s.Lag)
	}
	if s.Shedding != nil {
		w.title("Shedding")
		w.line("  %s", s.Shedding.Summary())
	}
	w.groups(s.Groups)
	if len(s.Executors) > 0 {
		w.executors(s.Executors)
	}
	if s.Shutdown != nil {
		w.stop(s.Shutdown)
	}
	w.ended("Failed groups", s.Bad, s.At)
	w.ended("Ended groups", s.Past, s.At)
}

func (d descriptors) text() string {
	if !d.OK {
		return ""
	}
	about := ""
	if d.Estimated {
		about = "about "
	}
	return fmt.Sprintf("  %s descriptors  %s%d sockets", d.Use(), about, d.Sockets)
}

// Use is how many descriptors are open, and of how many.
func (d descriptors) Use() string {
	if d.Limit == 0 {
		return fmt.Sprint(d.Open)
	}
	return fmt.Sprintf("%d of %d", d.Open, d.Limit)
}

func (w *textWriter) lag(l *lag) {
	w.title("Lag")
	if !l.Running {
		w.line("  the probe does not run: this is what the runtime tells by itself")
	}
	w.line("  cause %v  overdue %v  run queue %.1f%s", l.Cause, l.Overdue, l.RunQueue, l.throttling())
	w.line("  threads %d  in system calls %d  world stopped %v of %v", l.Threads, l.NotInGo, l.STW, l.Window)
	w.table("lrrrrl", func(t *table) {
		t.row("", "p50", "p90", "p99", "max")
		for _, d := range l.Dists {
			if d.OK {
				t.row(d.Name, d.P50, d.P90, d.P99, d.Max, d.Text)
			} else {
				t.row(d.Name, "-", "-", "-", "-", "not measured")
			}
		}
	})
	w.table("llrl", func(t *table) {
		t.row("last minute", "", "now", "")
		for _, c := range l.Curves {
			t.row(c.Name, c.Text(), c.Last, "max "+c.Max)
		}
	})
	if len(l.Loops) > 0 {
		w.title("Loops")
		w.table("lrrrrrl", func(t *table) {
			t.row("name", "busy", "limit", "longest", "turns", "late", "")
			for _, i := range l.Loops {
				mark := ""
				if i.Stuck {
					mark = "STUCK"
				}
				t.row(i.Name, i.Busy, i.Max, i.Longest, i.Turns, i.Late, mark)
			}
		})
		if l.MoreLoops > 0 {
			w.line("  … and %d more loops", l.MoreLoops)
		}
	}
	for i, b := range l.Breaches {
		if i == 0 {
			w.title("Breaches")
		}
		w.line("  %s  %s", b.At.Format(time.TimeOnly), b.Text)
	}
}

func (l *lag) throttling() string {
	if !l.CPU {
		return ""
	}
	return fmt.Sprintf("  throttled %s", l.ThrottledText())
}

// ThrottledText is in how many of the quota's periods the process was held back.
func (l *lag) ThrottledText() string { return fmt.Sprintf("%.0f %%", 100*l.Throttled) }

// Summary is what the shedder does, in a line.
func (s *shedState) Summary() string {
	doing := "nothing is refused"
	if s.Share > 0 {
		doing = fmt.Sprintf("%.0f %% of the requests below critical are refused: they would wait for %v", 100*s.Share, s.Wait)
	}
	a, r := s.Admitted, s.Refused
	return fmt.Sprintf("%s; so far %d were admitted and %d refused", doing, a.Critical+a.Normal+a.Sheddable, r.Normal+r.Sheddable)
}

func (w *textWriter) groups(g groups) {
	w.title("Groups")
	if g.Live == 0 {
		w.line("  none")
		return
	}
	w.trees(g.Trees, "  ")
	if rest := g.Live - g.Shown; rest > 0 {
		w.line("  … and %d more groups", rest)
	}
}

func (w *textWriter) trees(trees []groupState, indent string) {
	for _, g := range trees {
		left := ""
		if fate := g.Fate(); fate != "" && !g.Bad() {
			left = "  " + fate
		}
		w.line("%s%s #%d  %v  %s%s  %s", indent, g.Name, g.ID, g.Age, g.counts(), left, cmp.Or(shortPlace(g.At), g.Func))
		if g.Bad() {
			w.fold(indent+"    ", g.Fate())
		}
		for _, t := range g.Tasks {
			many, kind := "", ""
			if t.Count > 1 {
				many = fmt.Sprintf(" ×%d, oldest", t.Count)
			}
			if t.Background {
				kind = "  background"
			}
			w.line("%s  · %s%s %v%s  %s", indent, t.Name, many, t.Age, kind, shortPlace(t.At))
		}
		if g.Rest > 0 {
			w.line("%s  · … and %d more tasks", indent, g.Rest)
		}
		w.trees(g.Groups, indent+"    ")
	}
}

// counts is how many tasks there are.
func (g groupState) counts() string {
	text := fmt.Sprintf("%d running", g.Running)
	if g.Queued > 0 {
		text += fmt.Sprintf(", %d queued", g.Queued)
	}
	return text
}

// Bad reports whether the group should be over.
func (g groupState) Bad() bool { return g.Canceled != nil || g.Left != nil && *g.Left < 0 }

// Fate is what will become of the group, or has.
func (g groupState) Fate() string {
	switch {
	case g.Canceled != nil:
		return fmt.Sprintf("CANCELED %v ago by %s: %s", *g.Canceled, g.By, g.Cause)
	case g.Left != nil && *g.Left < 0:
		return fmt.Sprintf("%v PAST ITS DEADLINE", -*g.Left)
	case g.Left != nil:
		return fmt.Sprintf("%v left", *g.Left)
	}
	return ""
}

func (w *textWriter) executors(all []executorState) {
	w.title("Executors")
	w.table("lrrrrr", func(t *table) {
		t.row("name", "running", "queued", "oldest", "oldest queued", "abandoned")
		for _, e := range all {
			t.row(e.Name, e.RunningText(), e.QueueText(), e.Oldest, e.OldestQueued, e.AbandonedText())
			if e.Stuck > 0 {
				t.note(fmt.Sprintf("%d STUCK", e.Stuck))
			}
			if len(e.Ended) > 0 {
				t.note("ended: " + counts(e.Ended))
			}
			if len(e.Refused) > 0 {
				t.note("refused: " + counts(e.Refused))
			}
		}
	})
}

// RunningText is how many of the slots are taken that may be.
func (e executorState) RunningText() string {
	if e.Limit < e.Workers {
		return fmt.Sprintf("%d/%d, not %d", e.Running, e.Limit, e.Workers)
	}
	return fmt.Sprintf("%d/%d", e.Running, e.Workers)
}

// QueueText is how much of the queue is in use.
func (e executorState) QueueText() string {
	if !e.Bounded() {
		return fmt.Sprint(e.Queued)
	}
	return fmt.Sprintf("%d/%d", e.Queued, e.Queue)
}

// AbandonedText is how many calls are abandoned, and for how long the oldest has been running.
func (e executorState) AbandonedText() string {
	if e.Abandoned == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, up to %v", e.Abandoned, e.OldestAbandoned)
}

func (w *textWriter) stop(s *stopState) {
	w.title("Shutdown")
	w.fold("  ", s.Summary())
	w.table("lrl", func(t *table) {
		for _, p := range s.Phases {
			state := "over"
			if p.Running {
				state = fmt.Sprintf("running, %v left", p.Left)
			}
			t.row(p.Name, p.Took, state)
		}
	})
	for _, k := range s.Tracked {
		w.line("  waits for %s ×%d, oldest %v", k.Name, k.Count, k.Age)
	}
	if s.MoreTracked > 0 {
		w.line("  … and %d more", s.MoreTracked)
	}
	w.table("lll", func(t *table) {
		for _, c := range s.Components {
			t.row(c.Name, c.Phase, c.State)
			if trouble := c.Trouble(); trouble != "" {
				t.note(trouble)
			}
		}
	})
}

func (w *textWriter) ended(title string, all []endedGroup, now time.Time) {
	if len(all) == 0 {
		return
	}
	kinds, rest := merge(all)
	w.title(title)
	w.table("rllrr", func(t *table) {
		t.row("last", "outcome", "group", "", "took")
		for _, e := range kinds {
			t.row(ago(now, e.Ended), e.Outcome, e.Name, e.Times(), e.Took)
			if e.Error != "" {
				t.note(e.Error)
			}
		}
	})
	if rest > 0 {
		w.line("  … and %d more in the JSON", rest)
	}
}

// ago is how long before now something was. It may have been a little later, while the rest of a state was put together.
func ago(now, t time.Time) string { return fmt.Sprintf("%v ago", seconds(max(0, now.Sub(t)))) }

// counts is numbers with their names.
func counts(m map[string]int64) string {
	if len(m) == 0 {
		return "0"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[name], name))
	}
	return strings.Join(parts, ", ")
}
