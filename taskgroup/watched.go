package taskgroup

import (
	"cmp"
	"context"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/grove-go/grove/internal/stacks"
)

// watched is a task of a group that is watched: the record of it, and itself a runner, so that the engine has one way for
// all.
type watched struct {
	runner
	w          *watch
	background bool
	started    time.Time // and goroutine: set when it is started
	goroutine  uint64    // 0 unless Grace wants stacks
}

// observed returns t as the engine is to run it.
func (g *Group) observed(t runner, background bool) runner {
	if g.watch == nil {
		return t
	}
	return &watched{runner: t, w: g.watch, background: background}
}

func (t *watched) run(ctx context.Context) error {
	run := t.runner.run
	if c, ok := t.runner.(claimable); ok {
		if !c.claim() {
			return nil
		}
		run = c.runClaimed
	}
	t.begin()
	err := run(ctx)
	t.ended(err)
	return err
}

// begin is apart from run for the sake of its frame, see Group.work.
//
//go:noinline
func (t *watched) begin() {
	t.started = time.Now()
	if d, ok := t.runner.(*described); ok {
		d.start = t.started
	}
	g := t.w.g
	if g.cfg.stragglers != nil {
		t.goroutine = stacks.ID()
	}
	g.mu.Lock()
	t.w.tasks[t] = struct{}{}
	g.mu.Unlock()
	if h := t.w.hooks; h != nil && h.TaskStarted != nil {
		h.TaskStarted(t.info())
	}
}

// interrupted implements interruptible.
func (t *watched) interrupted(err error) bool {
	inner, ok := t.runner.(interruptible)
	unaware := !ok || inner.interrupted(err)
	if err != nil {
		t.ended(err)
	}
	return unaware
}

//go:noinline
func (t *watched) ended(err error) {
	t.w.g.mu.Lock()
	delete(t.w.tasks, t)
	t.w.g.mu.Unlock()
	if h := t.w.hooks; h != nil && h.TaskEnded != nil {
		h.TaskEnded(t.info(), err)
	}
}

func (t *watched) info() TaskInfo {
	o := t.origin()
	i := TaskInfo{Group: t.w.g.cfg.name, Name: o.name, Background: t.background, Started: t.started}
	i.Func, i.File, i.Line = o.function()
	return i
}

// runningLocked returns the tasks that run, oldest first. The group's mu is held.
func (w *watch) runningLocked() []*watched {
	return slices.SortedFunc(maps.Keys(w.tasks), func(a, b *watched) int { return a.started.Compare(b.started) })
}

// info is the group without its tasks and inner groups.
func (w *watch) info() GroupInfo {
	g := w.g
	i := GroupInfo{Name: g.cfg.name, Started: w.started, Cause: context.Cause(g.Context())}
	i.Deadline, _ = g.parent.Deadline()
	i.Func, i.File, i.Line = describe(w.site)
	g.mu.Lock()
	i.Queued, i.Canceled = int(g.queue.len), w.canceled
	g.mu.Unlock()
	return i
}

// tree is the group with all that is in it. hooks.mu is held.
func (w *watch) treeLocked() GroupInfo {
	i := w.info()
	w.g.mu.Lock()
	running := w.runningLocked()
	w.g.mu.Unlock()
	for _, t := range running {
		i.Tasks = append(i.Tasks, t.info())
	}
	i.Groups = treesLocked(w.inner)
	return i
}

// treesLocked lists groups, oldest first. hooks.mu is held.
func treesLocked(set map[*watch]struct{}) []GroupInfo {
	var all []GroupInfo
	for w := range set {
		all = append(all, w.treeLocked())
	}
	slices.SortFunc(all, func(a, b GroupInfo) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Line, b.Line))
	})
	return all
}

const packagePath = "github.com/grove-go/grove/taskgroup."

// callSite is where the caller called into this package.
func callSite() uintptr {
	var pcs [16]uintptr
	n := runtime.Callers(2, pcs[:])
	for _, pc := range pcs[:n] {
		if fn := runtime.FuncForPC(pc - 1); fn != nil && !strings.HasPrefix(fn.Name(), packagePath) {
			return pc - 1 // the call, not what follows it
		}
	}
	return 0
}
