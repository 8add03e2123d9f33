package observe

import (
	"cmp"
	"errors"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/looplag/shed"
	"github.com/grove-go/grove/taskgroup"
)

// maxGroups is how many groups the page shows, and maxKinds how many kinds of tasks of each.
const maxGroups, maxKinds = 200, 20

// state is what the page shows, at one moment, in all its forms. None of its lists is nil: that would be null in JSON.
type state struct {
	At        time.Time       `json:"at"`
	Process   process         `json:"process"`
	Lints     []Lint          `json:"lints"`
	Lag       *lag            `json:"lag,omitempty"`
	Groups    groups          `json:"groups"`
	Executors []executorState `json:"executors"`
	Shedding  *shedState      `json:"shedding,omitempty"`
	Shutdown  *stopState      `json:"shutdown,omitempty"`
	Bad       []endedGroup    `json:"failed_groups"`
	Past      []endedGroup    `json:"ended_groups"`

	Actions  bool `json:"-"` // whether they are offered
	Recorder bool `json:"-"`
}

type process struct {
	Name        string      `json:"name"`
	PID         int         `json:"pid"`
	Up          seconds     `json:"up"` // since the Observer was made
	Go          string      `json:"go"`
	Version     string      `json:"version,omitempty"`
	GOMAXPROCS  int         `json:"gomaxprocs"`
	Goroutines  int         `json:"goroutines"`
	Descriptors descriptors `json:"descriptors"`
}

type lag struct {
	Running           bool          `json:"running"` // the probe's Run
	Cause             looplag.Cause `json:"cause"`
	Overdue           seconds       `json:"overdue"`
	Dists             []dist        `json:"delays"`
	RunQueue          float64       `json:"run_queue"`
	RunQueueEstimated bool          `json:"run_queue_estimated"`
	Threads           int           `json:"threads"`
	NotInGo           int           `json:"not_in_go"`
	STW               seconds       `json:"stw"`
	Window            seconds       `json:"window"`
	Throttled         float64       `json:"throttled_ratio"`
	CPU               bool          `json:"throttling_measured"`
	Loops             []loop        `json:"loops"`
	MoreLoops         int           `json:"more_loops,omitempty"`
	Breaches          []breach      `json:"breaches"`
	Curves            []sparkline   `json:"curves"`
}

type dist struct {
	Name string  `json:"name"`
	Text string  `json:"-"`
	N    uint64  `json:"n"`
	P50  seconds `json:"p50"`
	P90  seconds `json:"p90"`
	P99  seconds `json:"p99"`
	Max  seconds `json:"max"`
	OK   bool    `json:"ok"`
}

type loop struct {
	Name    string  `json:"name"`
	Max     seconds `json:"max"`
	Busy    seconds `json:"busy"`
	Longest seconds `json:"longest"`
	Turns   uint64  `json:"turns"`
	Late    uint64  `json:"late"`
	Stuck   bool    `json:"stuck"`
}

type groups struct {
	Live  int          `json:"live"`
	Shown int          `json:"shown"`
	Trees []groupState `json:"trees"`
}

type groupState struct {
	ID       uint64       `json:"id"`
	Name     string       `json:"name"`
	Func     string       `json:"func"`
	At       string       `json:"at"`
	Age      seconds      `json:"age"`
	Left     *seconds     `json:"left,omitempty"`     // until the deadline
	Canceled *seconds     `json:"canceled,omitempty"` // how long ago
	Cause    string       `json:"cause,omitempty"`
	By       string       `json:"by,omitempty"` // who has caused it
	Queued   int          `json:"queued"`
	Running  int          `json:"running"`
	Tasks    []task       `json:"tasks"`
	Rest     int          `json:"more_tasks,omitempty"`
	Groups   []groupState `json:"groups"`
}

type task struct {
	Name       string  `json:"name"`
	Func       string  `json:"func"`
	At         string  `json:"at"`
	Age        seconds `json:"age"` // of the oldest
	Count      int     `json:"count"`
	Background bool    `json:"background,omitempty"`
}

type shedState struct {
	Share    float64     `json:"share"`
	Wait     seconds     `json:"wait"`
	Admitted shed.Counts `json:"admitted"`
	Refused  shed.Counts `json:"refused"`
}

type executorState struct {
	Name            string           `json:"name"`
	Running         int              `json:"running"`
	Workers         int              `json:"workers"`
	Limit           int              `json:"limit"` // of workers, at this moment
	Queued          int              `json:"queued"`
	Queue           int              `json:"queue"`
	Stuck           int              `json:"stuck"`
	Abandoned       int              `json:"abandoned"`
	Oldest          seconds          `json:"oldest"`
	OldestQueued    seconds          `json:"oldest_queued"`
	OldestAbandoned seconds          `json:"oldest_abandoned"`
	Ended           map[string]int64 `json:"ended"`
	Refused         map[string]int64 `json:"refused"`
}

// version is the module's version as it was built, empty if it was not stamped.
var version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	if info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return ""
})

// state describes everything that was registered.
func (o *Observer) state() *state {
	now := time.Now()
	trees, live := o.hooks.Groups(maxGroups, maxKinds)
	o.tick(now, trees, live)
	r := o.registered()
	s := &state{
		At: now, Actions: o.cfg.Actions, Recorder: o.cfg.Recorder != nil,
		Process: process{
			Name: path.Base(os.Args[0]), PID: os.Getpid(), Up: seconds(now.Sub(o.began)), Go: runtime.Version(), Version: version(),
			GOMAXPROCS: runtime.GOMAXPROCS(0), Goroutines: runtime.NumGoroutine(), Descriptors: o.clock.open(),
		},
		Lints:  o.clock.current(),
		Groups: groups{Live: live, Trees: describeGroups(trees, now)},
	}
	s.Groups.Shown = countGroups(trees)
	if r.probe != nil {
		s.Lag = o.lag(r.probe)
	}
	if r.shedder != nil {
		stats := r.shedder.Stats()
		s.Shedding = &shedState{Share: stats.Share, Wait: seconds(stats.Wait), Admitted: stats.Admitted, Refused: stats.Refused}
	}
	s.Executors = make([]executorState, 0, len(r.executors))
	for _, p := range r.executors {
		s.Executors = append(s.Executors, p.describe())
	}
	if r.app != nil {
		s.Shutdown = describeStop(r.app.Report(), now)
	}
	s.Past, s.Bad = o.past.list()
	return s
}

func describeGroups(trees []taskgroup.GroupInfo, now time.Time) []groupState {
	all := make([]groupState, 0, len(trees))
	for _, g := range trees {
		d := groupState{
			ID: g.ID, Name: title(g.Name, g.Func), Func: g.Func, At: place(g.File, g.Line), Age: seconds(now.Sub(g.Started)),
			Queued: g.Queued, Running: g.Running, Rest: g.Running, Tasks: make([]task, 0, len(g.Tasks)), Groups: describeGroups(g.Groups, now),
		}
		if !g.Deadline.IsZero() {
			left := seconds(g.Deadline.Sub(now))
			d.Left = &left
		}
		if g.Cause != nil {
			ago := seconds(0)
			if !g.Canceled.IsZero() {
				ago = seconds(now.Sub(g.Canceled))
			}
			d.Canceled = &ago
			d.Cause, d.By = canceledBy(g)
		}
		for _, t := range g.Tasks {
			d.Rest -= t.Count
			d.Tasks = append(d.Tasks, task{
				Name: title(t.Name, t.Func), Func: t.Func, At: place(t.File, t.Line), Age: seconds(now.Sub(t.Started)),
				Count: t.Count, Background: t.Background,
			})
		}
		d.Rest = max(0, d.Rest) // tasks come and go between the counting and the listing
		all = append(all, d)
	}
	return all
}

// canceledBy is why a group was ended, and by whom.
func canceledBy(g taskgroup.GroupInfo) (cause, by string) {
	own, ok := g.Cause.(*taskgroup.CancelError) //nolint:errorlint // the group's own cause, or that of a group around it
	if !ok {
		return brief(g.Cause), "its caller"
	}
	cause = brief(own.Cause) // without the group's name, which stands beside it
	switch {
	case g.Failure != nil && errors.Is(own.Cause, g.Failure.Err):
		return cause, "the failure of " + title(g.Failure.Name, g.Failure.Func)
	case errors.Is(own, errCanceled):
		return cause, "somebody who saw this page"
	case own.Group != g.Name:
		return brief(g.Cause), "the group around it"
	default:
		return cause, "Cancel or Stop"
	}
}

func countGroups(trees []taskgroup.GroupInfo) int {
	n := len(trees)
	for _, g := range trees {
		n += countGroups(g.Groups)
	}
	return n
}

func (o *Observer) lag(probe *looplag.Probe) *lag {
	s := probe.Snapshot()
	samples, breaches := o.clock.history()
	l := &lag{
		Running: s.Net.OK || s.Timer.OK, Cause: s.Cause, Overdue: seconds(s.Overdue),
		RunQueue: s.RunQueue, RunQueueEstimated: s.RunQueueEstimated, Threads: s.Threads, NotInGo: s.NotInGo,
		STW: seconds(s.STW.GC.Total + s.STW.Other.Total), Window: seconds(s.Window),
		Throttled: throttledRatio(s.CPU), CPU: s.CPU.OK,
		Breaches: breaches[:min(len(breaches), 10)], Curves: curves(samples),
	}
	for _, d := range []struct {
		name, text string
		looplag.Dist
	}{
		{"net", "a request waits to be noticed", s.Net},
		{"timer", "timers fire late by", s.Timer},
		{"sched", "goroutines wait in queues", s.Sched},
	} {
		l.Dists = append(l.Dists, dist{
			Name: d.name, Text: d.text, N: d.N, OK: d.OK,
			P50: seconds(d.P50), P90: seconds(d.P90), P99: seconds(d.P99), Max: seconds(d.Max),
		})
	}
	loops := probe.Loops()
	slices.SortStableFunc(loops, func(a, b looplag.LoopInfo) int { return cmp.Compare(b.Busy, a.Busy) })
	l.MoreLoops = max(0, len(loops)-maxKinds)
	l.Loops = make([]loop, 0, len(loops)-l.MoreLoops)
	for _, i := range loops[:len(loops)-l.MoreLoops] {
		l.Loops = append(l.Loops, loop{
			Name: title(i.Name, ""), Max: seconds(i.Max), Busy: seconds(i.Busy), Longest: seconds(i.Longest),
			Turns: i.Turns, Late: i.Late, Stuck: i.Busy > i.Max,
		})
	}
	return l
}

func (p *pool) describe() executorState {
	s := p.Stats()
	e := executorState{
		Name: p.name, Running: s.Running, Workers: s.Workers, Limit: s.Limit, Queued: s.Queued, Queue: s.Queue, Stuck: s.Stuck, Abandoned: s.Abandoned,
		Oldest: seconds(s.Oldest), OldestQueued: seconds(s.OldestQueued), OldestAbandoned: seconds(s.OldestAbandoned),
		Ended: make(map[string]int64), Refused: make(map[string]int64),
	}
	for i := range p.ended {
		if n := p.ended[i].Load(); n > 0 {
			e.Ended[outcome(i).String()] = n
		}
	}
	for i := range p.refused {
		if n := p.refused[i].Load(); n > 0 {
			e.Refused[refusal(i).String()] = n
		}
	}
	return e
}

// Bounded reports whether the queue has an end.
func (e executorState) Bounded() bool { return e.Queue < executor.Unbounded }
