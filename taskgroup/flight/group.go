package flight

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/grove-go/grove/internal/fault"
)

// PanicError is a panic of a load. Its Stack is that of the goroutine that panicked, and its Task names the key.
type PanicError = fault.PanicError

// ErrGoexit is what callers get from a load that called [runtime.Goexit].
var ErrGoexit = fault.ErrGoexit

// A Group coalesces calls that have the same key. Its methods may be called from several goroutines; it must not be
// copied after the first call.
type Group[K comparable, V any] struct {
	// Timeout is how long a load may take, from the call of [Group.Do] that starts it; 0 means as long as somebody
	// waits for it. Set it before the first call.
	Timeout time.Duration

	mu      sync.Mutex
	flights map[K]*flight[V] // those that can be joined; guarded by mu
}

// A flight is a load and those who wait for it.
type flight[V any] struct {
	// The context of the load. It ends before done is closed only if time is over or callers has become 0.
	ctx    context.Context
	cancel context.CancelFunc

	// callers is the number of calls that have not left, shared whether there has ever been more than one. Both are
	// guarded by Group.mu until done is closed.
	//
	// Invariant: callers > 0 for a flight in Group.flights, and no flight that is not there gets another caller.
	callers int
	shared  bool

	done chan struct{} // closed when the load has returned and the flight is not in Group.flights any more
	v    V             // what the load returned; written before done is closed, as is err
	err  error
}

// Do returns what fn returns for key, v together with err: what the load that runs already returns if there is one, and
// otherwise what fn does, which is called on a new goroutine. shared tells whether another call has joined the
// load, even if that has left since; v is then in other hands too.
//
// Do blocks until the load has returned or ctx has ended. When ctx ends first, and when it has ended already, in which
// case nothing is started or joined, the error is [context.Cause] of ctx. The load then goes on if somebody
// else waits for it, and is cancelled otherwise; Do does not wait for that.
//
// The context of fn has the values of the ctx of the call that started it. It ends when fn returns, when
// the last caller has left, and when the Timeout is over, with a [*TimeoutError] as its cause: nothing that fn returns
// may depend on it. An error that fn returns when the Timeout is over comes back in a *TimeoutError. If fn panics, err
// is a [*PanicError], and if it calls [runtime.Goexit], [ErrGoexit].
//
// The call that starts a load costs a goroutine and six allocations, ten with a Timeout (BenchmarkDo), and one that joins
// it none (BenchmarkJoin).
//
// fn must not call Do with its own key: it would wait for itself. Do panics if fn is nil or Timeout negative.
func (g *Group[K, V]) Do(ctx context.Context, key K, fn func(ctx context.Context) (V, error)) (v V, shared bool, err error) {
	switch {
	case fn == nil:
		panic("flight: Do called with a nil function")
	case g.Timeout < 0:
		panic("flight: the Timeout is negative")
	case ctx.Err() != nil:
		return v, false, context.Cause(ctx)
	}
	f, first := g.join(ctx, key)
	if first {
		go g.fly(f, key, fn)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		select {
		case <-f.done: // both at once: a result that is there counts
		default:
			return v, g.leave(f, key), context.Cause(ctx)
		}
	}
	return f.v, f.shared, f.err
}

// Forget makes the next call of [Group.Do] with that key start a load of its own, instead of joining the one that runs
// now, which goes on for those who wait for it. Call it when what a load may have read has changed. It never blocks.
func (g *Group[K, V]) Forget(key K) {
	g.mu.Lock()
	defer g.mu.Unlock() // deferred, because hashing an interface panics if what is in it cannot be a key
	delete(g.flights, key)
}

// join adds a caller to the flight for key, or to a new one, which is then the caller's to start.
func (g *Group[K, V]) join(ctx context.Context, key K) (f *flight[V], first bool) {
	g.mu.Lock()
	defer g.mu.Unlock() // deferred for the same reason as in Forget
	if f := g.flights[key]; f != nil && !f.overdue() {
		f.callers++
		f.shared = true
		return f, false
	}
	f = &flight[V]{callers: 1, done: make(chan struct{})}
	ctx = context.WithoutCancel(ctx)
	if g.Timeout > 0 {
		f.ctx, f.cancel = context.WithTimeoutCause(ctx, g.Timeout, &TimeoutError{Key: key, Limit: g.Timeout})
	} else {
		f.ctx, f.cancel = context.WithCancel(ctx)
	}
	if g.flights == nil {
		g.flights = make(map[K]*flight[V])
	}
	if key == key { // a NaN is not: a map would neither find nor delete it
		g.flights[key] = f
	}
	return f, true
}

// leave takes a caller off f, whose load is cancelled if it was the last. It returns whether there have been others.
func (g *Group[K, V]) leave(f *flight[V], key K) (shared bool) {
	g.mu.Lock()
	f.callers--
	last, shared := f.callers == 0, f.shared
	if last {
		g.closeLocked(f, key)
	}
	g.mu.Unlock()
	if last {
		f.cancel()
	}
	return shared
}

// closeLocked makes sure that nobody joins f any more. Another flight may have taken its place long ago.
func (g *Group[K, V]) closeLocked(f *flight[V], key K) {
	if g.flights[key] == f {
		delete(g.flights, key)
	}
}

// fly is the goroutine of a load.
func (g *Group[K, V]) fly(f *flight[V], key K, fn func(context.Context) (V, error)) {
	returned := false
	defer func() {
		if !returned {
			f.err = ErrGoexit
			if value := recover(); value != nil {
				f.err = fault.Recovered(value, fmt.Sprintf("load of %v", key))
			}
		}
		g.mu.Lock()
		g.closeLocked(f, key)
		g.mu.Unlock()
		close(f.done)
		f.cancel()
	}()
	f.v, f.err = g.load(f, key, fn)
	returned = true
}

// load calls fn, unless its context has ended before this goroutine got to run.
func (g *Group[K, V]) load(f *flight[V], key K, fn func(context.Context) (V, error)) (v V, err error) {
	if f.ctx.Err() != nil {
		return v, context.Cause(f.ctx)
	}
	v, err = fn(f.ctx)
	// What is the cause itself says all there is to say; what wraps it may not say that it is a timeout.
	if err != nil && f.overdue() && err != context.Cause(f.ctx) { //nolint:errorlint // see above
		err = &TimeoutError{Key: key, Limit: g.Timeout, Err: err}
	}
	return v, err
}

// overdue reports whether the Timeout is over. The clock is asked, not ctx: the deadline of a socket may be over
// some time before the timer of a context has run.
func (f *flight[V]) overdue() bool {
	deadline, limited := f.ctx.Deadline()
	return limited && !time.Now().Before(deadline)
}
