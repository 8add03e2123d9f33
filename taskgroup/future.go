package taskgroup

import (
	"cmp"
	"context"
	"sync"

	"github.com/grove-go/grove/internal/place"
)

// A Future is the result of a task that was started by [Async].
type Future[T any] struct {
	g *Group
	f func(context.Context) (T, error)

	mu     sync.Mutex
	state  futureState
	inline bool          // an Await runs it, or has; set before anybody can ask for its origin
	done   chan struct{} // made by the first Await that has to wait, closed when state becomes settled
	// What f returned, once settled; skipped: f was not called, and the error is the group's cause.
	value   T
	err     error
	skipped bool
}

// futureState only grows.
type futureState uint8

const (
	waiting futureState = iota // in the queue: whoever makes it running runs it
	running
	settled // value and err do not change any more
)

// Async starts f in g like [Group.Go] and returns its result as a Future. A failure of f is a failure of the group.
// The value is kept as long as the Future is.
func Async[T any](g *Group, f func(ctx context.Context) (T, error)) *Future[T] {
	if f == nil {
		panic("taskgroup: Async called with a nil function")
	}
	fut := &Future[T]{g: g, f: f}
	g.add(fut, "Async", false)
	return fut
}

// Await blocks until the task has ended and returns its result, or until ctx ends and returns the cause; the task
// goes on then. If the task was not started because the group had ended, the error is the group's cause.
//
// Called from a task of the same group, with that task's context or one derived from it, Await runs a task that is still
// in the queue on the caller's goroutine, and ctx does not interrupt that. So tasks of one group may wait for each other's
// results at any limit, and one that waits lends its units of the group's [Limiter] meanwhile. Only tasks that wait for
// each other in a circle, or one that waits for itself, wait until ctx ends.
//
// A panic of f is returned as a [*PanicError] and a runtime.Goexit as [ErrGoexit]; the group deals with them as with those
// of any task. A Goexit of a task that Await itself runs ends the caller.
//
// The end of the task synchronizes before the return of an Await that returns its result.
func (f *Future[T]) Await(ctx context.Context) (T, error) {
	if ctx.Err() == nil && ctx.Value(insideKey{f.g}) != nil && f.claimInline() {
		f.runInline(ctx)
	}
	if done := f.waitDone(); done != nil {
		// The caller is a task that ctx belongs to, or else waits in a task around the group, as the body of Run does.
		lender := cmp.Or(f.g.lenderIn(ctx), f.g.lender())
		lender.lend()
		defer lender.reclaim()
		select {
		case <-done:
		case <-ctx.Done():
			select {
			case <-done: // the result is there: nothing is gained by withholding it
			default:
				var zero T
				return zero, context.Cause(ctx)
			}
		}
	}
	return f.result()
}

// waitDone returns a channel that is closed when the future is settled, or nil if it is.
func (f *Future[T]) waitDone() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == settled {
		return nil
	}
	if f.done == nil {
		f.done = make(chan struct{})
	}
	return f.done
}

// result is the outcome of a settled future, which does not change.
func (f *Future[T]) result() (T, error) {
	if f.skipped {
		return f.value, f.g.endCause()
	}
	return f.value, f.err
}

// claim makes the caller the one who runs f. It reports whether nobody was before.
func (f *Future[T]) claim() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != waiting {
		return false
	}
	f.state = running
	return true
}

// claimInline is claim for an Await that finds itself inside the group. The group waits for the task from then on, since the
// goroutine may be one that a task has started, and outlive it. If the group has ended the task is skipped, as a worker would.
func (f *Future[T]) claimInline() bool {
	g := f.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended() {
		g.skipLocked(f)
		return false
	}
	if !f.claim() {
		return false
	}
	f.inline = true
	g.inline++
	return true
}

func (f *Future[T]) settle(value T, err error, skipped bool) {
	f.mu.Lock()
	if f.state == settled { // its error has panicked when it was looked into
		f.mu.Unlock()
		return
	}
	f.value, f.err, f.skipped = value, err, skipped
	f.state = settled
	done := f.done
	f.mu.Unlock()
	if done != nil {
		close(done)
	}
}

// run is the future as a task of its group.
func (f *Future[T]) run(ctx context.Context) error {
	if !f.claim() {
		return nil // an Await was faster
	}
	return f.runClaimed(ctx)
}

func (f *Future[T]) runClaimed(ctx context.Context) error {
	value, err := f.f(ctx)
	f.settle(value, err, false)
	return err
}

func (f *Future[T]) origin() origin { return origin{entry: place.Entry(f.f), untold: f.inline} }

// interrupted settles a future whose task will not return: err is why, or nil if it was not started.
func (f *Future[T]) interrupted(err error) bool {
	if err == nil && !f.claim() {
		return false // an Await has run it, or is running it
	}
	var zero T
	f.settle(zero, err, err == nil)
	return true
}

// runInline runs a future that claimInline has claimed, on the goroutine of an Await, as a worker would. The units that the
// task needs are those of the task that waits for it, which has the context from.
func (f *Future[T]) runInline(from context.Context) {
	g := f.g
	var ctx context.Context = (*taskContext)(g)
	if h := g.lenderIn(from); h != nil {
		ctx = context.WithValue(ctx, holderKey{h.limiter}, h)
	}
	defer func() {
		g.mu.Lock()
		g.inline--
		g.leftLocked()
	}()
	returned := false
	defer func() {
		if !returned {
			g.recordInterrupted(f, recover()) // Await returns it, so nothing is kept on this stack
		}
	}()
	if err := f.runClaimed(ctx); err != nil {
		g.report(ctx, f.origin(), err)
	}
	returned = true
}
