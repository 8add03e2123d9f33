package taskgroup

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/grove-go/grove/internal/place"
)

var errNoFunctions = errors.New("taskgroup: First needs at least one function")

// First calls all of fs at once and returns the result of the first that succeeds. It cancels the others then, and
// returns when they have ended; the values of those that succeeded all the same go to [Discard]. If all fail the error
// is an [*Error] that lists them, up to [MaxErrors]; if there are none it is one, too. What the winner returns must not be
// bound to its context, which ends with First.
func First[T any](ctx context.Context, fs []func(ctx context.Context) (T, error), opts ...Option) (T, error) {
	var zero T
	if len(fs) == 0 {
		return zero, &Error{Cause: errNoFunctions}
	}
	values, err := Quorum(ctx, 1, fs, opts...)
	if err != nil {
		return zero, err
	}
	return values[0], nil
}

// Quorum calls all of fs at once and returns the results of the first n that succeed, in the order in which they did. It
// cancels the others then, and returns when they have ended; the values of those that succeeded all the same go to
// [Discard]. As soon as too many have failed for n to succeed, it cancels the others and returns an [*Error]
// that lists the failures; the values that it has go to Discard. It panics if n is less than 1 or more than
// len(fs).
func Quorum[T any](ctx context.Context, n int, fs []func(ctx context.Context) (T, error), opts ...Option) ([]T, error) {
	if n < 1 || n > len(fs) {
		panic(fmt.Sprintf("taskgroup: Quorum of %d among %d functions", n, len(fs)))
	}
	for i, f := range fs {
		if f == nil {
			panic(fmt.Sprintf("taskgroup: function %d of %d is nil", i+1, len(fs)))
		}
	}
	cfg := *newConfig(opts)
	cfg.keepGoing = true
	discard := discardOf[T](&cfg)
	g := newGroup(ctx, &cfg, 0)
	r := &race[T]{g: g, need: n, mayFail: len(fs) - n, discard: discard}
	contenders := make([]contender[T], len(fs))
	for i, f := range fs {
		contenders[i] = contender[T]{race: r, f: f}
		g.add(&contenders[i], "Quorum", false)
	}
	handedOut := false
	defer func() { // deferred, because Wait may panic
		if handedOut || discard == nil {
			return
		}
		for _, v := range r.values {
			discard(v)
		}
	}()
	err := g.Wait()
	if handedOut = len(r.values) == n; !handedOut {
		return nil, err
	}
	return r.values, nil // what the losers met with is of no interest
}

// race is what the contenders of a Quorum share.
type race[T any] struct {
	g       *Group
	need    int
	discard func(T)

	mu      sync.Mutex
	values  []T // of those that succeeded, at most need
	mayFail int // how many more may fail until need cannot be reached
}

type contender[T any] struct {
	*race[T]
	f func(context.Context) (T, error)
}

func (c *contender[T]) run(ctx context.Context) error {
	value, err := c.f(ctx)
	if err != nil {
		return c.lost(ctx, err)
	}
	c.won(value)
	return nil
}

// lost deals with the failure of a task. Like won it is apart from run for the sake of its frame, see Group.work.
//
//go:noinline
func (c *contender[T]) lost(ctx context.Context, err error) error {
	echo := c.g.isEcho(ctx, err)
	c.g.record(c.origin(), err, echo) // before it can become the cause
	c.failed(err)
	return c.g.watchedFailure(err, echo)
}

// won deals with the value of a task.
//
//go:noinline
func (c *contender[T]) won(value T) {
	c.mu.Lock()
	late := len(c.values) == c.need
	if !late {
		c.values = append(c.values, value)
	}
	over := !late && len(c.values) == c.need
	c.mu.Unlock()
	if over {
		c.g.Cancel(ErrStopped)
	}
	if late && c.discard != nil {
		c.discard(value)
	}
}

func (c *contender[T]) origin() origin { return origin{entry: place.Entry(c.f)} }

// interrupted implements interruptible.
func (c *contender[T]) interrupted(err error) bool {
	if err != nil {
		c.failed(err)
	}
	return true
}

// failed cancels the race when it cannot be won any more.
func (r *race[T]) failed(err error) {
	r.mu.Lock()
	r.mayFail--
	lost := r.mayFail < 0
	r.mu.Unlock()
	if lost {
		r.g.Cancel(err)
	}
}
