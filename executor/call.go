package executor

import (
	"context"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/grove-go/grove/internal/place"
)

// The phases of a call. Each arrow is one compare-and-swap, and who makes it does what follows from it.
//
//	waiting → refused                fn will not be called; the caller is woken
//	waiting → running → done         fn has returned; the caller, still awake, sees it
//	          running → awaited      the caller goes to sleep
//	waiting → awaited → done         fn has returned; the caller is woken
//	          running → abandoned    Drain has sent the caller away, fn's result will be dropped
//	          awaited → abandoned    the caller has left or has been sent away
//
// An inline call, in which the caller runs fn itself, ends in awaited, or in done if it becomes warm. Then another begins
// in its slot, and it is awaited again.
const (
	waiting = iota
	refused
	running
	awaited
	done
	abandoned
	phaseBits = 3
)

// word is a call's phase in the low bits and, once fn has been called, the time of that in the others: who sees a
// running call sees its age. The time is 0, which no time is, from when fn of a call with ack is called until its caller
// goes to sleep: of the calls that are over by then nobody needs to read the clock.
type word int64

// begun is the word of a call whose fn is called at the given time.
func begun(at time.Duration, phase int) word { return word(at << phaseBits).to(phase) }

func (w word) phase() int             { return int(w & (1<<phaseBits - 1)) }
func (w word) started() time.Duration { return time.Duration(w >> phaseBits) }
func (w word) to(phase int) word      { return w>>phaseBits<<phaseBits | word(phase) }

// age is for how long fn has been running.
func (w word) age(now time.Duration) time.Duration {
	if w.started() == 0 {
		return 0
	}
	return now - w.started()
}

// inside reports that fn has been called and not returned, or only just.
func (w word) inside() bool {
	phase := w.phase()
	return phase == running || phase == awaited || phase == abandoned
}

// call is one call on its way through a pool. It is reused once its caller has taken fn's result. If there was none
// it is not, because others may still refer to it.
type call struct {
	word atomic.Int64

	// wake holds the token for the caller. No second one is put before the first is taken, so putting never blocks.
	wake chan struct{}

	// Set before the call is admitted.
	ctx      *callContext
	fn       any // for its name
	name     string
	key      string
	priority Level
	inline   bool        // the caller runs fn
	timed    bool        // somebody needs to know when exactly fn was called
	tells    bool        // belongs to a Future with observers, which Pool.reporting counts until they know
	stop     func() bool // ends the watch over a Future's ctx

	// observers want to know how the call ends. came is when its caller came, if there are any, or when it was queued.
	// returned is when fn did, if somebody wants to know, set by who ran it before that can be seen from the phase.
	observers      observers
	came, returned time.Duration

	// task runs fn, unless the call is inline. It is set before the call is admitted or, if it starts at once, before
	// its worker is woken; so is ack.
	task task

	// ack asks the worker for a token when it calls fn. The caller of a call that starts at once waits for that, with
	// no eye on its ctx since it is about to come, and by the time it runs again a short fn has returned: it is spared
	// the select, the dearest single step of a call. Cleared when the call is queued.
	ack bool
	// noAck counts down the calls to make without ack after one with a longer fn, whose caller woke for nothing.
	noAck int

	// err tells why there is no result. Set by who refuses the call, before the token, and by who abandons it, before
	// that; the phases keep them apart.
	err error

	// Guarded by Pool.mu.
	links    [2]links // its places in lists
	lane     *lane    // where it waits for a slot, nil if it does not
	nested   bool     // has no slot of its own
	reported bool     // as stuck
	warm     uint8    // its place in Pool.warm, 0 if it has none; its caller may read it

	next *call // links free calls

	kept  bool          // is reused
	spare []callContext // for later uses
	id    uintptr       // tells it from all other calls of the process
}

var lastID atomic.Uintptr

func newCall() *call {
	c := &call{wake: make(chan struct{}, 1), id: lastID.Add(1)}
	c.refill()
	return c
}

// fill makes c a call of fn.
func (c *call) fill(p *Pool, ctx context.Context, fn any, o CallOption) {
	x := &c.spare[0]
	c.spare = c.spare[1:]
	x.Context, x.slot = ctx, &p.slot
	c.ctx, c.fn, c.name, c.inline, c.ack = x, fn, o.name, o.inline, false
	c.key, c.priority = o.key, o.level()
	c.nested, c.reported, c.timed = false, false, p.timed
	c.watch(p)
}

// clear lets go of what c refers to.
func (c *call) clear() { c.ctx, c.fn, c.observers = nil, nil, nil }

// refill sees to it that fill does not allocate.
func (c *call) refill() {
	if len(c.spare) == 0 {
		c.spare = make([]callContext, contexts)
	}
}

// contexts is how many contexts a call allocates at a time. They keep one another's parents from being collected.
const contexts = 8

// task is fn and what it returned, for a worker, which need not know the result's type.
type task interface {
	run(ctx context.Context)
	fail(err error)
	outcome() error
}

type taskOf[T any] struct {
	fn    func(context.Context) (T, error)
	value T
	err   error
}

func (t *taskOf[T]) run(ctx context.Context) { t.value, t.err = t.fn(ctx) }

func (t *taskOf[T]) fail(err error) { t.err = err }

func (t *taskOf[T]) outcome() error { return t.err }

func (c *call) load() word { return word(c.word.Load()) }

func (c *call) move(from, to word) bool { return c.word.CompareAndSwap(int64(from), int64(to)) }

// label is the call's name in errors and reports.
func (c *call) label() string { return label(c.name, c.fn) }

func label(name string, fn any) string {
	if name != "" {
		return name
	}
	return place.Of(reflect.ValueOf(fn).Pointer()).Function
}

// begin reports whether fn is to be called now. A call whose ctx has ended does not begin.
func (c *call) begin(p *Pool) bool {
	if c.ctx.Err() != nil {
		return false
	}
	phase, at := awaited, time.Duration(0)
	if c.ack {
		phase = running
	}
	if c.timed || !c.ack {
		at = p.now()
	}
	if !c.move(waiting, begun(at, phase)) {
		return false
	}
	if c.ack {
		c.wake <- struct{}{}
	}
	return true
}

// settle ends a call whose fn has returned, or is not going to be called, for its caller, who may reuse it from here
// on. It leaves calls alone that the caller has left.
func (c *call) settle(p *Pool) {
	if c.stop != nil {
		c.stop()
	}
	for {
		switch w := c.load(); w.phase() {
		case waiting:
			err := c.refusal()
			if c.move(w, w.to(refused)) {
				p.countClosed(err)
				c.err = err
				c.release(p)
				return
			}
		case running:
			if c.move(w, w.to(done)) {
				return
			}
		case awaited:
			if c.move(w, w.to(done)) {
				c.release(p)
				return
			}
		default:
			return
		}
	}
}

// refuse refuses the call of a Future with an error that has been counted, unless its caller has left.
func (c *call) refuse(p *Pool, err error) {
	if c.move(waiting, refused) {
		c.err = err
		c.dismiss(p)
	}
}

// refusal tells why a call that was admitted is not started: its ctx has ended, or Drain has given up.
func (c *call) refusal() error {
	if cause := context.Cause(c.ctx.Context); cause != nil {
		return notStarted(cause)
	}
	return ErrClosed
}

// dismiss tells the caller that the call has been refused.
func (c *call) dismiss(p *Pool) {
	if c.stop != nil {
		c.stop()
	}
	c.release(p)
}

// release wakes the caller for the last time: the call has ended for it. Hooks of a Future are called on a goroutine of
// their own, since this one, a worker or Drain, has others to serve.
func (c *call) release(p *Pool) {
	if c.tells {
		go c.report(p)
		return
	}
	c.wake <- struct{}{}
}

func (c *call) report(p *Pool) {
	defer p.reported()
	defer func() { c.wake <- struct{}{} }() // whatever becomes of the hooks
	c.tell(p, c.outcome())
}

// outcome is the error that the caller gets.
func (c *call) outcome() error {
	if c.load().phase() == done {
		return c.task.outcome()
	}
	return c.err
}

// await waits for a call that a worker runs, and reports whether there is a result.
func (c *call) await(p *Pool, ctx context.Context, left <-chan struct{}) bool {
	if c.ack {
		<-c.wake
		if w := c.load(); w.phase() == running {
			asleep := w.to(awaited)
			if !c.timed {
				asleep = begun(p.now(), awaited)
			}
			if c.move(w, asleep) {
				c.noAck = 32
				c.sleep(p, ctx, left)
			}
		}
	} else {
		c.sleep(p, ctx, left)
	}
	return c.load().phase() == done
}

func (c *call) sleep(p *Pool, ctx context.Context, left <-chan struct{}) {
	select {
	case <-c.wake:
	case <-left:
		if !c.leave(p, ctx) {
			<-c.wake
		}
	}
}

// leave takes the caller, whose ctx has ended, out of the call. If it reports false the call has ended before, and
// its token is there or about to come.
func (c *call) leave(p *Pool, ctx context.Context) bool {
	cause := context.Cause(ctx)
	for {
		switch w := c.load(); w.phase() {
		case waiting:
			if c.move(w, refused) {
				p.unlink(c)
				c.err = notStarted(cause)
				return true
			}
		case awaited:
			p.mu.Lock()
			ok := p.abandonLocked(c, w, cause)
			p.mu.Unlock()
			if ok {
				return true
			}
		default:
			return false
		}
	}
}

// abandonLocked abandons c if it is as w says.
func (p *Pool) abandonLocked(c *call, w word, cause error) bool {
	if c.load() != w {
		return false
	}
	c.err = &AbandonedError{Pool: p.name, Name: c.label(), Running: w.age(p.now()), Cause: cause}
	return c.move(w, w.to(abandoned))
}
