package taskgroup

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grove-go/grove/internal/place"
	"github.com/grove-go/grove/internal/stacks"
)

// Hooks observe groups; see [WithHooks]. Any of the functions may be nil. They are called on the goroutine where the thing
// happens, without locks held, and several at a time; a slow hook slows the group down, and none may panic. Hooks are used
// by pointer and not changed once they are in a context.
//
// The ctx of the other functions is what GroupStarted returned: it has the values that were put there, and ends with the
// parent of the group.
type Hooks struct {
	// GroupStarted is called when a group is made with ctx. The context that it returns, which must be ctx or derived
	// from it, becomes the parent of the group: a place for a span.
	GroupStarted func(ctx context.Context, g GroupInfo) context.Context
	// GroupCanceled is called soon after the group's context was cancelled, on a goroutine of its own for which Wait
	// waits, unless the group was joined before.
	GroupCanceled func(ctx context.Context, g GroupInfo)
	// GroupEnded is called when the group has been joined, with what Wait returns or panics with: nil, an *Error, a
	// *PanicError, or ErrGoexit.
	GroupEnded func(ctx context.Context, g GroupInfo, err error)
	// TaskStarted and TaskEnded are called around each task. err is what it returned, a *PanicError at the moment of the
	// panic, or ErrGoexit; echo tells that err says nothing but that the task was cancelled. A task that was not started
	// has neither; one that [Future.Await] runs counts as part of the task that awaits it.
	TaskStarted func(ctx context.Context, t TaskInfo)
	TaskEnded   func(ctx context.Context, t TaskInfo, err error, echo bool)

	lastID atomic.Uint64

	mu    sync.Mutex  // guards the tree of live groups: roots and the inner lists of all watches
	roots list[watch] // in the order in which they were made
	live  int         // in the whole tree
}

// GroupInfo is a group at one moment.
type GroupInfo struct {
	// ID tells the group from all others under the same Hooks, and is what [Hooks.Cancel] wants.
	ID uint64
	// Name is the group's name. Func, File and Line tell where it was made: which function has called this package, and
	// where. For a group of Run that is where its body is: in the function around a literal, or the body itself if it has
	// a name.
	Name       string
	Func, File string
	Line       int
	Started    time.Time
	// Deadline is that of the group's context; zero without one.
	Deadline time.Time
	// Cause is why the group's context was cancelled, and Canceled when; nil and zero while it was not. The end of the
	// parent is noticed with a delay: in a group that has started no task, and whose Hooks have no GroupCanceled, when
	// [Hooks.Groups] is called or the group ends. Failure is what failed first; nil while nothing has.
	Cause    error
	Canceled time.Time
	Failure  *TaskError
	// Queued counts the tasks that wait to be started, Running those that run. Tasks are the latter, and Groups the
	// groups that were made inside them; only [Hooks.Groups] fills in these three.
	Queued, Running int
	Tasks           []TaskInfo
	Groups          []GroupInfo
}

// TaskInfo is a task that was started.
type TaskInfo struct {
	// Group is the name of its group, Name its own, and Func, File and Line tell its function.
	Group, Name, Func, File string
	Line                    int
	Background              bool
	Started                 time.Time
	// Count is 1. In the trees of [Hooks.Groups], tasks of the same name and function are one TaskInfo: Count is how many
	// they are, and Started belongs to the oldest of them.
	Count int
	// Stack is that of the task's goroutine, followed by those of the goroutines that it has started, in reports of
	// [Grace]; otherwise nil.
	Stack []byte
}

// Stragglers are the tasks that still run some time after their group was cancelled.
type Stragglers struct {
	// Group is the name of the group, Cause why it was cancelled, and After how long ago.
	Group string
	Cause error
	After time.Duration
	// Tasks are those that still run, oldest first.
	Tasks []TaskInfo
}

// hooksKey is the key under which a context has its *Hooks, and that of a watched group its *watch.
type hooksKey struct{}

// WithHooks returns a context in which h observes all groups that are made with it or inside their tasks: ctx itself if
// h does already. A group looks for hooks once, when it is made; groups without any read no clocks and keep no records of
// their tasks.
func WithHooks(ctx context.Context, h *Hooks) context.Context {
	if already, _ := watching(ctx); already == h {
		return ctx
	}
	hooked.Store(true)
	return context.WithValue(ctx, hooksKey{}, h)
}

// hooked tells that there are contexts with hooks. In a process without any, no group has to search its own.
var hooked atomic.Bool

// watching returns the hooks that observe groups made with ctx, and the nearest group around that they observe; nil for none.
func watching(ctx context.Context) (*Hooks, *watch) {
	if !hooked.Load() {
		return nil, nil
	}
	switch found := ctx.Value(hooksKey{}).(type) {
	case *Hooks:
		return found, nil
	case *watch:
		return found.hooks, found
	}
	return nil, nil
}

// Grace reports the tasks that still run when the group was cancelled d ago: once, to report, on a goroutine of its own.
// They are still waited for, and so is report. A group with Grace reads the clock and asks for the goroutine's number at the
// start of each task, which costs some microseconds; the stacks are written with all other goroutines stopped.
//
// A panic for which no owner comes is kept for d, and one of the body waits for the tasks for d, when that is longer than 30
// seconds.
func Grace(d time.Duration, report func(Stragglers)) Option {
	if d < 0 || report == nil {
		panic("taskgroup: Grace needs a duration that is not negative and a function")
	}
	return option(func(c *config) { c.grace, c.stragglers = d, report })
}

// watch is what a group keeps when somebody looks at it: its Hooks, or the reporter of Grace.
type watch struct {
	g       *Group
	hooks   *Hooks // nil if only Grace wants to know
	id      uint64
	site    *place.Place
	fn      string // that of site which the group was made in
	started time.Time

	attending atomic.Bool // see attend

	// Guarded by hooks.mu. outer is the nearest live group around this one under the same hooks, nil if there is none.
	// A group that is over gives those inside it that are not, which nothing forbids, to the one around it.
	outer *watch
	over  bool
	entry link[watch] // in outer.inner or hooks.roots
	inner list[watch]

	// Guarded by g.mu.
	tasks    list[watched] // those that run, in the order in which they were started
	canceled time.Time
	timer    *time.Timer // of Grace, once cancelled
	joined   bool        // ended has been called
	ignore   func() bool // ends attending; nil before that, or if the parent cannot end

	// told are the calls of GroupCanceled and of Grace's report. They begin, under g.mu, only while the group is not
	// joined, and the join waits for them.
	told sync.WaitGroup
}

// beWatched has g watched if somebody wants to.
func (g *Group) beWatched(body uintptr) {
	hooks, outer := watching(g.parent)
	if hooks == nil && g.cfg.stragglers == nil {
		return
	}
	w := &watch{g: g, hooks: hooks, outer: outer, started: time.Now()}
	w.site, w.fn = site(body)
	w.entry.of = w
	g.watch = w
	if hooks != nil {
		w.id = hooks.lastID.Add(1)
		if hooks.GroupStarted != nil {
			g.parent = hooks.GroupStarted(g.parent, w.info())
		}
		hooks.mu.Lock()
		for w.outer != nil && w.outer.over {
			w.outer = w.outer.outer
		}
		w.siblingsLocked().push(&w.entry)
		hooks.live++
		hooks.mu.Unlock()
	}
	if w.tellsAtOnce() {
		w.attend()
	}
}

// tellsAtOnce reports whether somebody is told when the group is cancelled.
func (w *watch) tellsAtOnce() bool {
	return w.g.cfg.stragglers != nil || w.hooks.GroupCanceled != nil
}

// attend sees to it, from its first call on, that the end of the parent is noticed when it comes. If nobody is told at once
// it is for the sake of how long tasks take to stop, so a group without tasks is spared it. Whoever starts a task calls it: on
// the new goroutine of the task, the stack would have to grow for it. A nil watch does not care.
func (w *watch) attend() {
	if w != nil {
		w.attendParent()
	}
}

func (w *watch) attendParent() {
	if w.attending.Load() || !w.attending.CompareAndSwap(false, true) || w.g.parent.Done() == nil {
		return
	}
	ignore := context.AfterFunc(w.g.parent, w.parentEnded) // may run code that is not ours, so mu is free
	w.g.mu.Lock()
	if !w.joined {
		w.ignore, ignore = ignore, nil
	}
	w.g.mu.Unlock()
	if ignore != nil { // the task came too late
		ignore()
	}
}

func (w *watch) siblingsLocked() *list[watch] {
	if w.outer != nil {
		return &w.outer.inner
	}
	return &w.hooks.roots
}

func (w *watch) parentEnded() {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	if !w.g.joined {
		w.canceledLocked()
	}
}

// look notices the end of the parent if nobody attends to it.
func (w *watch) look() {
	if !w.tellsAtOnce() && w.g.parent.Err() != nil {
		w.parentEnded()
	}
}

// canceledLocked notes that the group was cancelled and has those told who want to know, the first time that it is
// called. The group's mu is held, and it is not joined.
func (w *watch) canceledLocked() {
	if !w.canceled.IsZero() {
		return
	}
	w.canceled = time.Now()
	if w.g.cfg.stragglers != nil {
		w.timer = time.AfterFunc(w.g.cfg.grace, w.reportStragglers)
	}
	if w.hooks != nil && w.hooks.GroupCanceled != nil {
		w.told.Go(w.tellCanceled)
	}
}

func (w *watch) tellCanceled() {
	<-w.g.Context().Done() // it is told after mu was released
	w.hooks.GroupCanceled(w.g.parent, w.info())
}

func (w *watch) reportStragglers() {
	g := w.g
	g.mu.Lock()
	var running []*watched
	for t := range w.tasks.all {
		running = append(running, t)
	}
	after := time.Since(w.canceled)
	if g.joined || len(running) == 0 {
		g.mu.Unlock()
		return
	}
	w.told.Add(1)
	defer w.told.Done()
	g.mu.Unlock()
	ids := make([]uint64, len(running))
	for i, t := range running {
		ids[i] = t.goroutine
	}
	found := stacks.Of(stackLimit, ids...)
	s := Stragglers{Group: g.cfg.name, Cause: g.endCause(), After: after}
	for _, t := range running {
		info := t.info
		info.Stack = found[t.goroutine]
		s.Tasks = append(s.Tasks, info)
	}
	g.cfg.stragglers(s)
}

// stackLimit bounds the text of all goroutines' stacks, of which stragglers are a part.
const stackLimit = 64 << 20

// ended ends the watch of a group that has been joined, the first time that it is called.
func (w *watch) ended(err error) {
	w.g.mu.Lock()
	first := !w.joined
	w.joined = true
	if w.timer != nil {
		w.timer.Stop()
	}
	ignore := w.ignore
	w.g.mu.Unlock()
	if !first {
		w.told.Wait()
		return
	}
	if ignore != nil {
		ignore()
	}
	w.told.Wait()
	if w.hooks == nil {
		return
	}
	w.hooks.mu.Lock()
	siblings := w.siblingsLocked()
	siblings.remove(&w.entry)
	for inner := range w.inner.all {
		inner.outer = w.outer
	}
	for w.inner.len > 0 {
		e := w.inner.first
		w.inner.remove(e)
		siblings.push(e)
	}
	w.over = true
	w.hooks.live--
	w.hooks.mu.Unlock()
	if w.hooks.GroupEnded != nil {
		w.hooks.GroupEnded(w.g.parent, w.info(), err)
	}
}
