package taskgroup

import (
	"context"
	"runtime"
	"strings"
	"time"

	"github.com/grove-go/grove/internal/place"
	"github.com/grove-go/grove/internal/stacks"
)

// watched is a task of a group that is watched: the record of it, and itself a runner, so that the engine has one way for
// all.
type watched struct {
	runner
	w         *watch
	info      TaskInfo // but for Background: set when it is started
	goroutine uint64   // 0 unless Grace wants stacks
	entry     link[watched]
}

// observed returns t as the engine is to run it.
func (g *Group) observed(t runner, background bool) runner {
	if g.watch == nil {
		return t
	}
	return &watched{runner: t, w: g.watch, info: TaskInfo{Background: background}}
}

// recorded is what a runner returns, and only in a group that is watched, if it has seen to its failure itself: the
// error is there only for those who watch.
type recorded struct {
	error
	echo bool
}

// watchedFailure is what a runner returns that has seen to err itself.
func (g *Group) watchedFailure(err error, echo bool) error {
	if g.watch == nil {
		return nil
	}
	return recorded{err, echo}
}

// run runs the task. It records its failure, so that whether that is an echo is decided once, and returns nil.
func (t *watched) run(ctx context.Context) error {
	run := t.runner.run
	if c, ok := t.runner.(claimable); ok {
		if !c.claim() {
			return nil
		}
		run = c.runClaimed
	}
	t.begin()
	if err := run(ctx); err != nil {
		t.returned(ctx, err)
	} else {
		t.ended(nil, false)
	}
	return nil
}

// begin is apart from run for the sake of its frame, see Group.work.
//
//go:noinline
func (t *watched) begin() {
	now := time.Now()
	if d, ok := t.runner.(*described); ok {
		d.start = now
	}
	g, from, i := t.w.g, t.origin(), &t.info
	i.Group, i.Name, i.Started, i.Count = g.cfg.name, from.name, now, 1
	i.Func, i.File, i.Line = from.function()
	if g.cfg.stragglers != nil {
		t.goroutine = stacks.ID()
	}
	t.entry.of = t
	g.mu.Lock()
	t.w.tasks.push(&t.entry)
	g.mu.Unlock()
	if h := t.w.hooks; h != nil && h.TaskStarted != nil {
		h.TaskStarted(g.parent, t.info)
	}
}

// returned records what the task returned.
//
//go:noinline
func (t *watched) returned(ctx context.Context, err error) {
	var echo bool
	if r, ok := err.(recorded); ok { //nolint:errorlint // never wrapped
		err, echo = r.error, r.echo
	} else {
		g := t.w.g
		echo = g.isEcho(ctx, err)
		if !echo || !t.info.Background { // for a background task, to stop when told is what it is there for
			g.record(t.origin(), err, echo)
		}
	}
	t.ended(err, echo)
}

// interrupted implements interruptible.
func (t *watched) interrupted(err error) bool {
	inner, ok := t.runner.(interruptible)
	unaware := !ok || inner.interrupted(err)
	if err != nil {
		t.ended(err, false)
	}
	return unaware
}

// ended ends the record, once: a hook that panics makes the task one that was interrupted, and is not called again.
func (t *watched) ended(err error, echo bool) {
	g := t.w.g
	g.mu.Lock()
	first := t.entry.of != nil
	if first {
		t.w.tasks.remove(&t.entry)
		t.entry.of = nil
	}
	g.mu.Unlock()
	if h := t.w.hooks; first && h != nil && h.TaskEnded != nil {
		h.TaskEnded(g.parent, t.info, err, echo)
	}
}

// info is the group without its tasks and inner groups.
func (w *watch) info() GroupInfo {
	g := w.g
	i := GroupInfo{ID: w.id, Name: g.cfg.name, Func: w.fn, File: w.site.File, Line: w.site.Line, Started: w.started}
	i.Deadline, _ = g.parent.Deadline()
	g.mu.Lock()
	i.Queued, i.Running, i.Canceled = int(g.queue.len()), w.tasks.len, w.canceled
	if o := g.outcome; o != nil && len(o.failures) > 0 {
		i.Failure = o.failures[0]
	}
	g.mu.Unlock()
	if !i.Canceled.IsZero() {
		i.Cause = g.endCause()
	}
	return i
}

const packagePath = "github.com/grove-go/grove/taskgroup."

// site is where a group is made, and in which function. body is that of Run, 0 for other groups.
func site(body uintptr) (at *place.Place, fn string) {
	if body != 0 {
		if p := place.Of(body); p.File != "" {
			return p, p.Around
		}
	}
	p := callSite()
	return p, p.Function
}

// callSite is where the caller called into this package. It costs some 60 ns for each frame that it looks at, and a multiple
// of that where the caches are full of other things: below newGroup there are at most two of this package, those of First
// and Quorum.
func callSite() *place.Place {
	var pcs [3]uintptr
	n := runtime.Callers(5, pcs[:]) // without Callers itself, callSite, site, beWatched and newGroup
	for _, pc := range pcs[:n] {
		if p := place.Of(pc - 1); p.Function != "" && !strings.HasPrefix(p.Function, packagePath) { // the call, not what follows it
			return p
		}
	}
	return new(place.Place)
}
