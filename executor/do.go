package executor

import (
	"context"
	"fmt"

	"github.com/grove-go/grove/internal/fault"
)

// CallOption changes one call. See [Name], [Key], [Priority], [NoWait] and [Inline].
type CallOption struct {
	name, key string
	priority  int8 // the Level and how far it is from none
	noWait    bool
	inline    bool
}

// Level says which calls go first; see [Priority].
type Level int8

// The levels of priority. Calls that do not say are Normal.
const (
	Low Level = iota - 1
	Normal
	High
)

// unset is the distance of a CallOption's priority from the Level, so that 0 is none.
const unset = 2

// Name names the call in errors and reports, which otherwise use the name of fn.
func Name(name string) CallOption { return CallOption{name: name} }

// Key says on whose behalf the call is made: a tenant, a user, a host. Keys with calls waiting take turns, and
// [Config.PerKey] caps how many calls of each run. The pool remembers a key while calls of it wait or, under PerKey, run.
// The empty key is none.
func Key(key string) CallOption { return CallOption{key: key} }

// Priority lets the call go before those of lower levels that wait, whatever their keys, except that each level that waits
// has a turn after sixteen turns of others, or seventeen. It changes nothing for calls that run. It panics if there is no
// such level.
func Priority(level Level) CallOption {
	if level < Low || level > High {
		panic(fmt.Sprintf("executor: Priority called with %d, want Low, Normal or High", level))
	}
	return CallOption{priority: int8(level) + unset}
}

func (o *CallOption) level() Level {
	if o.priority == 0 {
		return Normal
	}
	return Level(o.priority - unset)
}

// NoWait refuses the call with [ErrQueueFull] if it cannot start at once.
func NoWait() CallOption { return CallOption{noWait: true} }

// Inline makes [Do] run fn on the caller's goroutine, for calls that are short or end with their ctx: it bounds how
// many run, at a fraction of the cost of a worker, but the caller cannot leave while fn runs, and a
// [runtime.Goexit] in fn ends the caller. Submit panics if it is given Inline.
func Inline() CallOption { return CallOption{inline: true} }

func combine(opts []CallOption) (all CallOption) {
	for _, o := range opts {
		if o.name != "" {
			all.name = o.name
		}
		if o.key != "" {
			all.key = o.key
		}
		if o.priority != 0 {
			all.priority = o.priority
		}
		all.noWait = all.noWait || o.noWait
		all.inline = all.inline || o.inline
	}
	return all
}

// Do calls fn(ctx) in a slot of the pool and returns what it returns. It waits for a slot if none is free and the
// queue has room, in the order that the package's Guarantees tell, and then for fn.
//
// If ctx ends before fn is called, fn is never called and the error matches [ErrNotStarted] and the ctx's cause. If
// it ends while fn runs, Do returns an [*AbandonedError] without waiting: fn keeps its slot until it returns, and
// what it returns is dropped. With [Inline], or a ctx that cannot end, fn runs on the caller's goroutine and Do
// returns when fn does.
//
// The ctx that fn gets has the caller's values and ends with the caller's ctx, when [Pool.Drain] gives up, with the
// cause [ErrDraining], and when fn returns: what is bound to it must not be returned. A call made with it on the
// same pool, or with a ctx made from it, runs in the slot of this one, off the queue and one at a time. The slot
// becomes free when this call and those nested in it have returned.
//
// Other errors are those of a refusal, [ErrQueueFull], [ErrMaxWait], [ErrShed] and [ErrClosed], a [*PanicError] if fn
// panicked, and [ErrGoexit] if it called runtime.Goexit on a worker's goroutine; on the caller's own, Goexit goes on once
// the slot is free. fn must unlock its goroutine from an OS thread that it locked it to.
//
// The return of fn synchronizes before the return of its result by Do. BenchmarkDo shows what a call costs.
func Do[T any](ctx context.Context, p *Pool, fn func(context.Context) (T, error), opts ...CallOption) (T, error) {
	if fn == nil {
		panic("executor: Do called with a nil function")
	}
	var zero T
	o := combine(opts)
	if ctx.Err() != nil {
		return zero, p.turnAway(ctx, fn, o)
	}
	left := ctx.Done()
	up := p.enclosing(ctx)
	if o.inline || left == nil {
		o.inline = true
		return doHere(ctx, p, fn, o, up, left)
	}

	c, w, started := p.take(ctx, fn, o, up != nil)
	t, ok := c.task.(*taskOf[T])
	if !ok {
		t = new(taskOf[T])
		c.task = t
	}
	t.fn = fn
	c.ack = c.noAck == 0
	c.noAck = max(0, c.noAck-1)
	if !started {
		var err error
		if w, _, err = p.admit(c, up, o.noWait); err != nil {
			c.tell(p, err)
			t.fn = nil
			p.put(c)
			return zero, err
		}
	}
	if w != nil {
		w.start()
	}
	if !c.await(p, ctx, left) {
		c.tell(p, c.err)
		p.drop(c)
		return zero, c.err
	}
	value, err := t.value, t.err
	c.tell(p, err)
	t.fn, t.value, t.err = nil, zero, nil
	p.put(c)
	return value, err
}

// doHere is Do on the caller's goroutine.
func doHere[T any](
	ctx context.Context, p *Pool, fn func(context.Context) (T, error), o CallOption, up *scope, left <-chan struct{},
) (value T, err error) {
	var c *call
	started := false
	if up == nil {
		c = p.rewarm(ctx, fn, o)
		started = c != nil
	}
	if !started {
		c, _, started = p.take(ctx, fn, o, up != nil)
	}
	if !started {
		if _, started, err = p.admit(c, up, o.noWait); err != nil {
			c.tell(p, err)
			p.put(c)
			return value, err
		}
		if !started && !c.turn(p, ctx, left) {
			c.tell(p, c.err)
			p.drop(c)
			return value, c.err
		}
		if !c.begin(p) {
			err = c.refusal()
			p.countClosed(err)
			p.vacate(c, err)
			return value, err
		}
	}
	returned := false
	defer func() {
		if !returned {
			// If there is no panic fn has called runtime.Goexit, which goes on after this.
			if v := recover(); v != nil {
				err = fault.Recovered(v, c.name)
			} else {
				err = ErrGoexit // for the observers
			}
		}
		p.vacate(c, err)
	}()
	value, err = runInline(mark{c.id}, c.ctx, fn)
	returned = true
	return value, err
}

// turn waits until an inline call has its place, and reports whether it has got one.
func (c *call) turn(p *Pool, ctx context.Context, left <-chan struct{}) bool {
	select {
	case <-c.wake:
	case <-left:
		if p.unlink(c) {
			c.err = notStarted(context.Cause(ctx))
			return false
		}
		<-c.wake
	}
	return c.load() != refused
}
