package taskgroup

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/grove-go/grove/internal/place"
)

const noLimit = math.MaxInt32

// A Group is a scope of tasks: they share a context, and none of them outlives it. Make it with [Run] or [New]; the
// zero Group is not usable. A Group is used once and must not be copied. Its methods may be called from several
// goroutines.
type Group struct {
	// What tasks, and workers for each task, read hardly changes, and fills a cache line: what is written all the time is on
	// others.

	parent context.Context

	// stopped is why the group ended its context, endOfParent if the end of the parent was seen first, nil while neither has
	// come. It is set once: by the group under mu, by who saw the parent's end without.
	stopped atomic.Pointer[CancelError]

	// real is the context of the tasks once somebody has asked for Done, see groupContext. It is set once, under mu, and
	// may be read when made is true.
	real realContext
	made atomic.Bool

	watch *watch // nil if nobody looks

	cfg        *config     // not changed after New
	worker     func()      // work or workWithin, bound once: a go statement with a method would allocate a closure each time
	background *background // nil before the first background task
	outcome    *outcome    // nil while there is nothing to report, see recordLocked

	mu sync.Mutex

	// workers is the number of goroutines that run tasks from queue, pending those of them that have not taken their
	// first. A worker that has begun runs a task, or is about to claim the next, or to end: workers - pending tasks are
	// running, or one less for each that is between two of them.
	//
	// Invariant, whenever mu is free: queue.len() > 0 implies pending > 0 or workers == cfg.limit. So no task waits behind
	// one that blocks, except at the limit. Claims that take no lock do not touch it, since they only shorten the queue.
	workers int32
	inline  int32 // tasks that an Await runs, on whatever goroutine has the context of one
	pending uint8
	procs   uint8 // GOMAXPROCS, 254 at most, since pending becomes one more; 0 until it was needed
	joined  bool  // somebody has waited until nothing was live any more: outcome does not change

	left sync.Cond // on mu: workers and inline have become 0, or a background task ended while they were

	done  chan struct{} // made by Done, closed when joined
	queue queue
}

// New returns a group whose tasks end with ctx. The caller owns it and must call [Group.Wait] or [Group.Stop];
// `defer g.Stop()` right after New makes sure on every path.
func New(ctx context.Context, opts ...Option) *Group { return newGroup(ctx, newConfig(opts), 0) }

// newGroup makes a group. body is the entry of the function that the group is the scope of, 0 if it has none.
func newGroup(ctx context.Context, cfg *config, body uintptr) *Group {
	if ctx == nil {
		panic("taskgroup: the context is nil")
	}
	g := &Group{parent: ctx, cfg: cfg}
	g.left.L = &g.mu
	if cfg.limiter != nil {
		g.worker = g.workWithin
		g.procs = 1 // more than one pending worker could only wait for units behind the first
	} else {
		g.worker = g.work
	}
	g.beWatched(body)
	return g
}

// Run calls body with a new group and waits for body and all tasks of the group. It returns nil or an [*Error].
//
// The first failure, of a task or of body, cancels the context that body and the tasks are called with. A panic in body
// is not recovered: it goes on when the group has been cancelled and its tasks have ended, or after 30 seconds, see [Grace].
func Run(ctx context.Context, body func(ctx context.Context, g *Group) error, opts ...Option) error {
	if body == nil {
		panic("taskgroup: Run called with a nil function")
	}
	g := newGroup(ctx, newConfig(opts), place.Entry(body))
	returned := false
	defer g.leaveUnless(&returned)
	ctx = g.Context()
	err := body(ctx, g)
	joined := err != nil && !g.report(ctx, origin{entry: place.Entry(body), untold: true}, err) // looks into err, which is the body's code
	returned = true
	if joined {
		return g.lateFailure(origin{entry: place.Entry(body), untold: true}, err)
	}
	if g.cfg.limiter != nil {
		return g.Wait()
	}
	// What join does, but not by calling it: each function that a goroutine returns through when it has slept costs some 10 ns.
	g.mu.Lock()
	for !g.joinedLocked() {
		g.left.Wait()
	}
	g.release()
	return g.outcome.deliver()
}

// Go starts f in the group. It never blocks: at the [Limit], f waits in a queue. After the group was cancelled f is
// not started and counted in [Error.Skipped]; a task that was queued at that moment is not started either, so whether f
// has run is known only from what it did. Go panics after Wait has returned. It may be called from inside tasks.
//
// A task that locks its thread with [runtime.LockOSThread] must unlock it: the goroutine runs other tasks after it.
func (g *Group) Go(f func(ctx context.Context) error) {
	if f == nil {
		panic("taskgroup: Go called with a nil function")
	}
	g.add(function(f), "Go", false)
}

// TryGo is [Group.Go] if the group is below its limit. It returns false, and has done nothing, if it is not, or is
// cancelled, or Wait has returned. A task counts until its goroutine is through with it, a moment after others can know
// that it has returned; units of a [Limiter] are waited for in the queue.
func (g *Group) TryGo(f func(ctx context.Context) error) bool {
	if f == nil {
		panic("taskgroup: TryGo called with a nil function")
	}
	return g.add(function(f), "TryGo", true)
}

// Start is [Group.Go] for a task that is more than a function.
func (g *Group) Start(t Task) {
	if t.Func == nil {
		panic("taskgroup: Start called with a nil Func")
	}
	g.check()
	if t.Weight < 0 {
		panic(fmt.Sprintf("taskgroup: Start called with Weight %d", t.Weight))
	}
	if l := g.cfg.limiter; l != nil && t.Weight > l.size {
		panic(fmt.Sprintf("taskgroup: Start called with Weight %d on a Limiter of %d units", t.Weight, l.size))
	}
	switch {
	case t.Background:
		g.startBackground(t)
	case t.Name == "" && t.Weight <= 1:
		g.add(function(t.Func), "Start", false)
	default:
		g.add(&described{Task: t}, "Start", false)
	}
}

// Context returns the context that the tasks are called with. It ends when the group is cancelled, when its parent does,
// and when Wait has returned.
func (g *Group) Context() context.Context {
	g.check()
	return (*groupContext)(g)
}

// Cancel ends the group: its context is cancelled with a [*CancelError] for cause, and tasks that have not been
// started will not be. Tasks that run are not waited for. A nil cause is [ErrStopped]. Only the first end of a group
// counts: after a failure, another Cancel or the end of the parent's context, Cancel does nothing.
func (g *Group) Cancel(cause error) {
	g.check()
	if cause == nil {
		cause = ErrStopped
	}
	g.mu.Lock()
	g.cancelLocked(cause)
	g.mu.Unlock()
	g.announce()
}

// Wait blocks until all tasks have ended and returns nil or an [*Error], the same at each call. It does not cancel
// anything by itself. Tasks may still start others while Wait blocks; once it has returned, the group's context
// is cancelled and Go panics. It may be called from several goroutines, but not from a task of the group, which
// would wait for itself.
//
// The end of each task synchronizes before the return of Wait. If a task panicked, Wait panics, and if one
// called [runtime.Goexit], Wait does; see [OnPanic].
func (g *Group) Wait() error {
	g.check()
	g.join()
	return g.outcome.deliver()
}

// Stop cancels the group with [ErrStopped] if it is still running and waits like [Group.Wait]. Tasks that failed before
// or fail while they stop are reported; that the group was stopped is not.
func (g *Group) Stop() error {
	g.check()
	g.mu.Lock()
	if g.liveLocked() {
		g.cancelLocked(ErrStopped)
		g.mu.Unlock()
		g.announce()
		return g.Wait()
	}
	g.joinedLocked() // in the same critical section: nothing can start between the look and the join
	g.release()
	return g.outcome.deliver()
}

// Done returns a channel that is closed when Wait or Stop has seen the end of the group. The end of each task
// synchronizes before the closing.
func (g *Group) Done() <-chan struct{} {
	g.check()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.done == nil {
		g.done = make(chan struct{})
		if g.joined {
			close(g.done)
		}
	}
	return g.done
}

func (g *Group) check() {
	if g.cfg == nil {
		panic("taskgroup: the zero Group is not usable; make it with Run or New")
	}
}
