package taskgroup

import (
	"context"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"

	"github.com/grove-go/grove/internal/fault"
	"github.com/grove-go/grove/internal/place"
)

// ForEach calls f for each item of in, at most limit at a time, and returns when all calls have ended: nil or an
// [*Error]. The limit is 1 or more, or [Unlimited]. An item is pulled only when a slot is free, so a slow f holds
// back in.
//
// The first failure stops the loop: no more items are pulled, and the context of the calls under way is cancelled.
// Under [KeepGoing] the loop goes on. What was not pulled any more counts as one in [Error.Skipped], even if it is only
// the end of in that nobody has seen. in is run by one goroutine at a time, not the caller's. It has no context of the
// loop's: one that blocks is waited for. A panic in it is dealt with as one in f, but goes on in the caller if in was being
// ended early. The options are those of [Run], except for [Limit]: it is a parameter here, and the option panics.
func ForEach[E any](ctx context.Context, limit int, in iter.Seq[E], f func(ctx context.Context, e E) error, opts ...Option) error {
	cfg := loopConfig("ForEach", limit, in == nil, f == nil, opts)
	next, stop := iter.Pull(kept(in))
	defer stop()
	g := newGroup(ctx, cfg, 0)
	l := &loop[E]{g: g, limit: slots(limit), next: next, stop: stop, entry: place.Entry(f)}
	l.do = func(ctx context.Context, _ int, e E) error { return f(ctx, e) }
	l.handOn()
	return g.Wait()
}

// Map calls f for each item of in, at most limit at a time, and returns the results in the order of the items. The limit
// is 1 or more, or [Unlimited]. It stops and fails as [ForEach] does. With an error the results are nil; under
// [KeepGoing] they are there, with the zero value for each item that failed.
func Map[E, R any](ctx context.Context, limit int, in []E, f func(ctx context.Context, e E) (R, error), opts ...Option) ([]R, error) {
	cfg := loopConfig("Map", limit, false, f == nil, opts)
	discard := discardOf[R](cfg)
	g := newGroup(ctx, cfg, 0)
	results := make([]R, len(in))
	var succeeded []bool // only Discard has to know
	if discard != nil {
		succeeded = make([]bool, len(in))
	}
	l := &loop[E]{g: g, limit: slots(limit), items: in, entry: place.Entry(f)}
	l.do = func(ctx context.Context, i int, e E) error {
		r, err := f(ctx, e)
		if err != nil {
			return err
		}
		results[i] = r
		if discard != nil {
			succeeded[i] = true
		}
		return nil
	}
	if len(in) > 0 {
		l.handOn()
	}
	handedOut := false
	defer func() { // deferred, because Wait may panic
		for i, ok := range succeeded {
			if ok && !handedOut {
				discard(results[i])
			}
		}
	}()
	err := g.Wait()
	if handedOut = err == nil || g.cfg.keepGoing; !handedOut {
		return nil, err
	}
	return results, err
}

// loop runs do for each item of a sequence, in tasks of a group. A task of the loop takes item after item, and when
// it has got one sees to it that another task is on its way to the next: the engine's rule once more, with the
// sequence for a queue.
//
// Invariant, whenever mu is free: if another item may be taken, a task is pending or taking it, or about to hand on, or
// there are limit tasks, of which each looks for an item when it is done with its own.
type loop[E any] struct {
	g     *Group
	limit int64
	items []E                                         // the sequence, or, if next is not nil, unused
	next  func() (E, bool)                            // the sequence; called by one task at a time
	stop  func()                                      // ends the sequence; not called while a task calls next
	do    func(ctx context.Context, i int, e E) error // handles item i
	entry uintptr                                     // of the user's function, which failures are attributed to

	_     [64]byte     // what follows changes with each item: on the line of the above it would have all tasks fetch that again
	tasks atomic.Int64 // twice the tasks of the loop that have not ended, and pending if one of them has not begun
	taken atomic.Int64 // items that were taken; of a slice, tasks that find none left are counted, too

	mu        sync.Mutex
	taking    bool // a task is calling next
	exhausted bool // next is not to be called again
	cut       bool // the group ended first, and that has been counted

	// For a loop whose results somebody takes: changed tells of a result or of the end of a task, and got counts the
	// results that were taken. The items between taken and got are in the window, which is as wide as the limit.
	changed *sync.Cond
	got     func() int
}

// loopConfig is the configuration of the group of a loop, whose limit is its own.
func loopConfig(name string, limit int, nilSequence, nilFunction bool, opts []Option) *config {
	if nilSequence {
		panic("taskgroup: " + name + " called with a nil sequence")
	}
	if nilFunction {
		panic("taskgroup: " + name + " called with a nil function")
	}
	if limit < 1 && limit != Unlimited {
		panic(fmt.Sprintf("taskgroup: %s called with limit %d: it is 1 or more, or Unlimited", name, limit))
	}
	cfg := newConfig(opts)
	if cfg.limit != noLimit {
		panic("taskgroup: " + name + " has its limit as a parameter, not as an option")
	}
	return cfg
}

func slots(limit int) int64 {
	if limit == Unlimited {
		return math.MaxInt64
	}
	return int64(limit)
}

// kept gives a panic in the sequence the stack it has there: iter.Pull moves only the value to its caller.
func kept[E any](in iter.Seq[E]) iter.Seq[E] {
	return func(yield func(E) bool) {
		returned := false
		defer func() {
			if !returned {
				if value := recover(); value != nil {
					panic(fault.Recovered(value, "iterator"))
				}
			}
		}()
		in(yield)
		returned = true
	}
}

// In loop.tasks.
const (
	pending = 1
	oneTask = 2
)

// handOn starts a task, unless one is pending or there are enough.
func (l *loop[E]) handOn() {
	if l.claim() {
		l.g.add(l, "", false)
	}
}

// claim reports whether a task is to be started, and counts it as pending.
func (l *loop[E]) claim() bool {
	for {
		tasks := l.tasks.Load()
		if tasks&pending != 0 || tasks/oneTask >= l.limit {
			return false
		}
		if !l.tasks.CompareAndSwap(tasks, tasks+oneTask+pending) {
			continue
		}
		// The last item of a slice may have been taken since the caller looked. Where a task takes one item, none can be from
		// here on but by this one: so those who watch see no task without an item.
		if l.next == nil && l.taken.Load() >= int64(len(l.items)) {
			l.tasks.Add(-oneTask - pending)
			return false
		}
		return true
	}
}

// run is a task of the loop.
func (l *loop[E]) run(ctx context.Context) error {
	for first := true; ; first = false {
		i, e, ok := l.take(first)
		if !ok {
			return nil
		}
		err := l.do(ctx, i, e)
		if err != nil {
			err = l.failed(ctx, err)
		}
		// Units are held for one item, since others wait for them, too, and who watches wants to see items.
		if l.g.cfg.limiter != nil || l.g.watch != nil {
			l.leave()
			return err
		}
	}
}

// failed records the failure of an item, before another is taken. It is apart from run for the sake of its frame, see
// Group.work.
//
//go:noinline
func (l *loop[E]) failed(ctx context.Context, err error) error {
	if _, ok := err.(recorded); ok { //nolint:errorlint // never wrapped
		return err
	}
	echo := l.g.isEcho(ctx, err)
	l.g.record(l.origin(), err, echo)
	return l.g.watchedFailure(err, echo)
}

func (l *loop[E]) origin() origin { return origin{entry: l.entry} }

// take gets the next item. If it returns false the task has ended: there is none, or it is not this task's to get.
func (l *loop[E]) take(first bool) (i int, e E, ok bool) {
	if l.next == nil {
		if !l.g.ended() {
			i = int(l.taken.Add(1)) - 1
			ok = i < len(l.items)
		}
		if first { // only now, see claim
			l.tasks.Add(-pending)
		}
		if ok {
			if i+1 < len(l.items) {
				l.handOn()
			}
			return i, l.items[i], true
		}
		l.mu.Lock()
		l.endTaskLocked()
		return 0, e, false
	}
	if first {
		l.tasks.Add(-pending)
	}
	l.mu.Lock()
	if l.taking || !l.mayTakeLocked() || l.g.ended() {
		l.endTaskLocked()
		return 0, e, false
	}
	l.taking = true
	l.mu.Unlock()

	returned := false
	defer func() {
		if !returned { // the sequence panicked, and is over
			l.mu.Lock()
			l.taking, l.exhausted = false, true
			l.mu.Unlock()
		}
	}()
	e, ok = l.next() // mu is free: the sequence may block
	late := ok && l.g.ended()
	if late { // an item that comes after the end is part of the rest
		l.stop() // the owner may have given this task up
	}
	returned = true

	l.mu.Lock()
	l.taking = false
	l.exhausted = !ok
	if !ok || late {
		l.endTaskLocked()
		return 0, e, false
	}
	i = int(l.taken.Add(1)) - 1
	l.unlockAndHandOn()
	return i, e, true
}

// overLocked reports whether the sequence was read to its end.
func (l *loop[E]) overLocked() bool {
	return l.exhausted || l.next == nil && l.taken.Load() >= int64(len(l.items))
}

// mayTakeLocked reports whether another item may be taken, if the group has not ended. When it has, a task is handed on to
// all the same: it is not started, and counts what is left.
func (l *loop[E]) mayTakeLocked() bool {
	return !l.overLocked() && (l.got == nil || l.taken.Load()-int64(l.got()) < l.limit)
}

// unlockAndHandOn releases mu and starts another task if the invariant asks for one. That task counts before mu is free:
// who finds no task and no result takes the loop for over.
func (l *loop[E]) unlockAndHandOn() {
	claimed := !l.taking && l.mayTakeLocked() && l.claim()
	l.mu.Unlock()
	if claimed {
		l.g.add(l, "", false)
	}
}

// endTaskLocked ends a task of the loop and releases mu. Of a sequence that was not read to its end because the group
// has ended, one skipped task is counted: without that a loop that was cut short could look complete.
func (l *loop[E]) endTaskLocked() {
	l.tasks.Add(-oneTask)
	count := !l.overLocked() && !l.cut && l.g.ended()
	l.cut = l.cut || count
	if l.changed != nil {
		l.changed.Signal()
	}
	l.mu.Unlock()
	if count {
		l.g.mu.Lock()
		l.g.recordLocked().skipped++
		l.g.mu.Unlock()
	}
}

// leave ends a task that could have gone on, so another may have to.
func (l *loop[E]) leave() {
	l.mu.Lock()
	l.tasks.Add(-oneTask)
	if l.changed != nil {
		l.changed.Signal()
	}
	l.unlockAndHandOn()
}

// interrupted implements interruptible.
func (l *loop[E]) interrupted(err error) bool {
	if err != nil {
		l.leave()
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tasks.Add(-oneTask - pending)
	if l.changed != nil {
		l.changed.Signal()
	}
	count := !l.overLocked() && !l.cut
	l.cut = true
	return count
}
