package taskgroup_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

type key string

// custom is a context that package context does not know.
type custom struct {
	context.Context // for values and the deadline
	done            chan struct{}
	mu              sync.Mutex
	err             error
}

func newCustom(parent context.Context) *custom {
	return &custom{Context: parent, done: make(chan struct{})}
}

func (c *custom) Done() <-chan struct{} { return c.done }

func (c *custom) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *custom) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	close(c.done)
}

// registry is a context of which package context knows no more than that it can register with it, see
// context.AfterFunc. It tells how many are registered.
type registry struct {
	*custom
	mu    sync.Mutex
	funcs map[int]func()
	total int
}

func newRegistry(parent context.Context) *registry {
	return &registry{custom: newCustom(parent), funcs: make(map[int]func())}
}

func (r *registry) AfterFunc(f func()) (stop func() bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	id := r.total
	r.funcs[id] = f
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		_, ok := r.funcs[id]
		delete(r.funcs, id)
		return ok
	}
}

func (r *registry) end(err error) {
	r.custom.end(err)
	r.mu.Lock()
	funcs := maps.Clone(r.funcs)
	clear(r.funcs)
	r.mu.Unlock()
	for _, f := range funcs {
		f()
	}
}

func (r *registry) registered() (now, ever int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.funcs), r.total
}

// intruder is a context that does something else before it registers anybody.
type intruder struct {
	*registry
	first func()
}

func (i *intruder) AfterFunc(f func()) (stop func() bool) {
	i.first()
	return i.registry.AfterFunc(f)
}

// parents are the kinds of context that a group can have above it. Each is made below base and returned with what ends it,
// nil if nothing does.
var parents = map[string]func(base context.Context) (parent context.Context, end func()){
	"never ends": func(base context.Context) (context.Context, func()) { return context.WithoutCancel(base), nil },
	"WithCancel": func(base context.Context) (context.Context, func()) { return context.WithCancel(base) },
	"WithCancelCause": func(base context.Context) (context.Context, func()) {
		ctx, cancel := context.WithCancelCause(base)
		return ctx, func() { cancel(errB) }
	},
	"WithTimeout": func(base context.Context) (context.Context, func()) {
		ctx, cancel := context.WithTimeout(base, time.Second)
		return ctx, func() {
			time.Sleep(time.Second)
			synctest.Wait()
			cancel()
		}
	},
	"WithTimeoutCause": func(base context.Context) (context.Context, func()) {
		ctx, cancel := context.WithTimeoutCause(base, time.Second, errB)
		return ctx, func() {
			time.Sleep(time.Second)
			synctest.Wait()
			cancel()
		}
	},
	"values above a cancellation": func(base context.Context) (context.Context, func()) {
		ctx, cancel := context.WithCancelCause(base)
		return context.WithValue(context.WithValue(ctx, key("x"), 1), key("y"), 2), func() { cancel(errB) }
	},
	"a type of its own": func(base context.Context) (context.Context, func()) {
		c := newCustom(base)
		return c, func() {
			c.end(context.Canceled)
			synctest.Wait() // package context watches it with a goroutine
		}
	},
	"a type of its own that is late": func(base context.Context) (context.Context, func()) {
		c := newCustom(base)
		return c, func() {
			c.end(context.DeadlineExceeded)
			synctest.Wait()
		}
	},
	"a registry": func(base context.Context) (context.Context, func()) {
		r := newRegistry(base)
		return r, func() { r.end(context.DeadlineExceeded) }
	},
	"a group": func(base context.Context) (context.Context, func()) {
		g := taskgroup.New(base, taskgroup.Name("outer"))
		return g.Context(), func() { g.Cancel(errB) }
	},
	"values above a group above a group": func(base context.Context) (context.Context, func()) {
		outer := taskgroup.New(base)
		inner := taskgroup.New(context.WithValue(outer.Context(), key("x"), 1))
		return context.WithValue(inner.Context(), key("y"), 2), func() { outer.Cancel(errB) }
	},
}

// eachParent runs f for each kind of parent, and for groups whose context is asked for Done at once or not before its end.
func eachParent(t *testing.T, f func(t *testing.T, g *taskgroup.Group, parent context.Context, end func())) {
	t.Helper()
	for name, newParent := range parents {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/done=%t", name, early), func(t *testing.T) {
				bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
					ctx, cancel := context.WithCancel(context.WithValue(ctx, key("base"), "value"))
					defer cancel()
					parent, end := newParent(ctx)
					if end == nil {
						end = func() {}
					}
					end = sync.OnceFunc(end)
					defer end() // ends the goroutine that watches a type of its own
					g := taskgroup.New(parent)
					if early {
						require.NotNil(t, g.Context().Done())
					}
					f(t, g, parent, end)
				})
			})
		}
	}
}
