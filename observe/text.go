package observe

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// text writes the state for a terminal. The client may have left: writes fail in silence.
func (s *state) text(to io.Writer) {
	w := &textWriter{Writer: bufio.NewWriter(to)}
	defer w.Flush() //nolint:errcheck // see above
	p := s.Process
	w.line("%s  pid %d  up %v  %s  GOMAXPROCS %d  %d goroutines%s", p.Name, p.PID, p.Up, p.Go, p.GOMAXPROCS, p.Goroutines, p.Descriptors.text())
	w.line("%s", strings.TrimSpace(p.Version+"  "+s.At.Format(time.RFC3339)))

	w.title("Lints")
	if len(s.Lints) == 0 {
		w.line("  none: nothing looks wrong")
	}
	for _, l := range s.Lints {
		w.line("! %s (for %v)", l.Text, seconds(s.At.Sub(l.Since)))
	}
	if s.Lag != nil {
		w.lag(s.Lag)
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
	return fmt.Sprintf("  %d descriptors (%s%d sockets, limit %d)", d.Open, about, d.Sockets, d.Limit)
}

type textWriter struct{ *bufio.Writer }

func (w *textWriter) line(format string, args ...any) {
	fmt.Fprintf(w, format, args...) //nolint:errcheck // bufio keeps the error
	w.WriteByte('\n')               //nolint:errcheck // likewise
}

func (w *textWriter) title(text string) { w.line("\n%s", strings.ToUpper(text)) }

// table writes rows of cells that tabs separate, as columns.
func (w *textWriter) table(write func(row func(format string, args ...any))) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	write(func(format string, args ...any) {
		fmt.Fprintf(t, "  "+format+"\n", args...) //nolint:errcheck // bufio keeps the error
	})
	t.Flush() //nolint:errcheck // likewise
}

func (w *textWriter) lag(l *lag) {
	w.title("Lag")
	if !l.Running {
		w.line("  the probe does not run: this is what the runtime tells by itself")
	}
	w.line("  cause %v  overdue %v  run queue %.1f  threads %d  in system calls %d  world stopped %v of %v%s",
		l.Cause, l.Overdue, l.RunQueue, l.Threads, l.NotInGo, l.STW, l.Window, l.throttling())
	w.table(func(row func(string, ...any)) {
		row("\tp50\tp90\tp99\tmax\t")
		for _, d := range l.Dists {
			if d.OK {
				row("%s\t%v\t%v\t%v\t%v\t%s", d.Name, d.P50, d.P90, d.P99, d.Max, d.Text)
			} else {
				row("%s\t-\t-\t-\t-\tnot measured", d.Name)
			}
		}
	})
	w.table(func(row func(string, ...any)) {
		for _, c := range l.Curves {
			row("%s\t%s\t%s (max %s)", c.Name, c.Text(), c.Last, c.Max)
		}
	})
	if len(l.Loops) > 0 {
		w.title("Loops")
		w.table(func(row func(string, ...any)) {
			row("name\tbusy\tlimit\tlongest\tturns\tlate")
			for _, i := range l.Loops {
				mark := ""
				if i.Stuck {
					mark = "  STUCK"
				}
				row("%s\t%v\t%v\t%v\t%d\t%d%s", i.Name, i.Busy, i.Max, i.Longest, i.Turns, i.Late, mark)
			}
		})
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
	return fmt.Sprintf("  throttled %.0f %%", 100*l.Throttled)
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
		w.line("%s%s #%d  %v  %s  %s", indent, g.Name, g.ID, g.Age, g.counts(), g.Fate())
		w.line("%s    %s", indent, cmp.Or(shortPlace(g.At), g.Func))
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
	w.table(func(row func(string, ...any)) {
		row("name\trunning\tqueued\toldest\toldest queued\tabandoned\tended\trefused") //nolint:dupword // these are columns
		for _, e := range all {
			row("%s\t%d/%d\t%s\t%v\t%v\t%s\t%s\t%s", e.Name, e.Running, e.Workers, e.QueueText(), e.Oldest, e.OldestQueued,
				e.AbandonedText(), counts(e.Ended), counts(e.Refused))
		}
	})
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
	w.line("  %s", s.Summary())
	w.table(func(row func(string, ...any)) {
		for _, p := range s.Phases {
			state := "over"
			if p.Running {
				state = fmt.Sprintf("running, %v left", p.Left)
			}
			row("%s\t%v\t%s", p.Name, p.Took, state)
		}
	})
	w.table(func(row func(string, ...any)) {
		for _, c := range s.Components {
			row("%s\t%s\t%s\t%s", c.Name, c.Phase, c.State, c.Trouble())
		}
	})
}

// Summary is the state of the app in a line.
func (s *stopState) Summary() string {
	if s.Reason == "" {
		return s.State
	}
	return fmt.Sprintf("%s for %v, %v left: %s", s.State, s.Took, s.Left, s.Reason)
}

// Trouble is what the component is at, and what has gone wrong.
func (c component) Trouble() string {
	text := ""
	if c.Doing != "" {
		text = fmt.Sprintf("%s for %v", c.Doing, c.For)
	}
	return strings.Trim(text+"; "+c.Error, "; ")
}

// listed is how many of the groups that have ended are shown to people.
const listed = 15

func (w *textWriter) ended(title string, all []endedGroup, now time.Time) {
	if len(all) == 0 {
		return
	}
	w.title(title)
	w.table(func(row func(string, ...any)) {
		for _, e := range all[:min(len(all), listed)] {
			row("%v ago\t%s\t%s\t%v\t%s", seconds(now.Sub(e.Ended)), e.Outcome, e.Name, e.Took, e.Error)
		}
	})
	if len(all) > listed {
		w.line("  … and %d more in the JSON", len(all)-listed)
	}
}

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
