package deadline

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/grove-go/grove/internal/fault"
)

// HedgePolicy says when [Hedge] starts further attempts. The zero policy makes two attempts at the same time.
type HedgePolicy struct {
	// Delay is how long the last attempt started is given before the next one starts beside it: most calls should be
	// over by then, so that few are made twice. 0 starts all attempts at once.
	Delay time.Duration
	// DelayFunc, if set, is asked for the delay in place of Delay after each start but the last, on the caller's
	// goroutine: it may return, say, the 95th percentile of the latencies seen.
	DelayFunc func() time.Duration
	// Attempts is how many attempts are made at most, the first included; 0 means 2.
	Attempts int
	// Need is how long an attempt takes that has a chance: none is started with less time left.
	Need time.Duration
	// Fatal tells the errors that another attempt would not mend; nil means that there are none.
	Fatal func(error) bool
	// Budget is shared by all calls to the same service; nil means that hedges are not rationed.
	Budget *Budget
}

// Hedge calls f, which gets the number of the attempt, counted from 1, and while that has not returned calls it again
// beside the first, each time when the policy's delay has passed since the last start or at once when an attempt has
// failed. It returns the first result. Use it for calls that may be made twice without harm and are slow now and then;
// do not put a [Retry] around it or into it, which would multiply the attempts.
//
// If no attempt succeeds it returns a [*RetryError]: all of those that the policy allows have failed; or the failures
// include one that Fatal names, upon which the others are cancelled; or no further one was started because the Budget
// was spent, ctx had ended or left less than Need, or a failure asked not to be tried again (see [Retry] for
// RetryAfter; the next attempt starts when it says), and those that were running have failed. None of these but a fatal
// failure ends an attempt that is running, and any of them may still succeed.
//
// Each attempt has its own context, derived from ctx, with the same deadline. As soon as there is a result the contexts
// of all attempts end, but Hedge waits for their functions to return, whatever they do then: no goroutine outlives it.
// Results that come too late are passed to discard, each once, on the caller's goroutine, before Hedge returns: close
// there what must be closed. What the winner returned must not depend on its context; if it does, as the body of an
// HTTP response does, use [HedgeHeld].
//
// The winner puts its part of a token back into the Budget; each failure takes one out, except fatal ones, and those
// after a result or after the end of ctx, which tell nothing about the service.
//
// All attempts run on goroutines of their own. If one panics, the others are cancelled and waited for, every result is
// passed to discard, and Hedge panics with a *PanicError (that of package taskgroup) that holds the first panic's value
// and stack. If one calls runtime.Goexit, as t.Fatal does, the same happens and then Hedge calls runtime.Goexit. What f
// does before it returns synchronizes before the return of Hedge.
//
// Hedge panics if the policy has a negative field. It costs one goroutine for each attempt and a timer
// (BenchmarkHedge).
func Hedge[T any](ctx context.Context, p HedgePolicy, f func(ctx context.Context, attempt int) (T, error), discard ...func(T)) (T, error) {
	v, _, err := newHedge(ctx, &p, f).run(discard)
	return v, err
}

// HedgeHeld is [Hedge] for results that need the context of the attempt they come from: that context goes on after
// HedgeHeld has returned, until release is called or ctx ends. Nothing else does: the other attempts have returned and
// their contexts have ended.
//
// release is never nil and may be called more than once. Call it, whatever err is, when done with the result.
func HedgeHeld[T any](ctx context.Context, p HedgePolicy, f func(ctx context.Context, attempt int) (T, error), discard ...func(T)) (v T, release func(), err error) {
	h := newHedge(ctx, &p, f)
	h.held = true
	return h.run(discard)
}

// hedge is the state of one call. Only the caller's goroutine touches it; the attempts' goroutines send outcomes.
type hedge[T any] struct {
	rules
	ctx       context.Context
	f         func(context.Context, int) (T, error)
	held      bool // the context of the winner is the caller's to end
	delay     time.Duration
	delayFunc func() time.Duration
	outcomes  chan outcome[T]

	// cancels ends the contexts of the attempts, of all that were started; running have not sent their outcome yet.
	cancels []context.CancelFunc
	running int
	// timer is set to the next start as long as there is to be more; once not, stopped may say why.
	timer   *time.Timer
	more    bool
	stopped error
	// winner is the attempt whose result, value, is returned; 0 is none. late are the results that nobody gets.
	winner int
	value  T
	late   []T
	// failed, panicked and exited are what became of attempts without a result.
	failed   []error
	panicked *fault.PanicError
	exited   bool
}

// outcome is how an attempt ended: by returning, by panicking, or, if neither, in Goexit.
type outcome[T any] struct {
	attempt  int
	v        T
	err      error
	returned bool
	panicked *fault.PanicError
}

func newHedge[T any](ctx context.Context, p *HedgePolicy, f func(context.Context, int) (T, error)) *hedge[T] {
	notNegative("HedgePolicy.Delay", p.Delay)
	notNegative("HedgePolicy.Attempts", p.Attempts)
	notNegative("HedgePolicy.Need", p.Need)
	h := &hedge[T]{
		rules:     rules{attempts: p.Attempts, need: p.Need, fatal: p.Fatal, budget: p.Budget},
		ctx:       ctx,
		f:         f,
		delay:     p.Delay,
		delayFunc: p.DelayFunc,
		outcomes:  make(chan outcome[T], 1),
	}
	if h.attempts == 0 {
		h.attempts = 2
	}
	return h
}

// run is the call from its first attempt to what becomes of it.
func (h *hedge[T]) run(discard []func(T)) (v T, release func(), err error) {
	h.decide(discard)
	switch {
	case h.panicked != nil:
		panic(h.panicked.Rethrown())
	case h.exited:
		runtime.Goexit()
	case h.winner == 0:
		return v, func() {}, &RetryError{Attempts: h.failed, Stopped: h.stopped}
	}
	return h.value, h.cancels[h.winner-1], nil
}

// decide returns when there is a result or will be none, and no attempt is running any more.
func (h *hedge[T]) decide(discard []func(T)) {
	defer h.finish(discard) // also if DelayFunc or Fatal panics
	if h.stopped = Require(h.ctx, h.need); h.stopped != nil {
		return
	}
	h.start()
	for h.running > 0 || h.more {
		var due <-chan time.Time
		if h.more {
			due = h.timer.C
		}
		var done <-chan struct{} // attempts that run look at it themselves
		if h.running == 0 {
			done = h.ctx.Done()
		}
		select {
		case o := <-h.outcomes:
			if h.settle(o) {
				return
			}
		case <-due:
			if len(h.outcomes) > 0 {
				h.timer.Reset(0) // look at that first: it may be the result
			} else if why := h.refuse(h.ctx, 0); why != nil {
				h.stop(why)
			} else {
				h.start()
			}
		case <-done:
			h.stop(ended(h.ctx))
		}
	}
}

// start starts the next attempt and sets the timer for the one after it.
func (h *hedge[T]) start() {
	ctx, cancel := context.WithCancel(h.ctx)
	h.cancels = append(h.cancels, cancel)
	h.running++
	go attempt(ctx, len(h.cancels), h.f, h.outcomes)
	switch {
	case len(h.cancels) == h.attempts:
		h.stop(nil)
	case h.delayFunc != nil:
		h.startIn(h.delayFunc())
	default:
		h.startIn(h.delay)
	}
}

func (h *hedge[T]) startIn(d time.Duration) {
	h.more = true
	if h.timer == nil {
		h.timer = time.NewTimer(d)
	} else {
		h.timer.Reset(d)
	}
}

// stop makes the attempts started so far the last ones. The first reason stands.
func (h *hedge[T]) stop(why error) {
	h.more = false
	if h.stopped == nil {
		h.stopped = why
	}
}

// settle takes in how an attempt ended and tells whether that decides the call.
func (h *hedge[T]) settle(o outcome[T]) bool {
	if h.record(o) {
		return true
	}
	if o.err == nil {
		h.winner, h.value = o.attempt, o.v
		h.budget.succeeded()
		return true
	}
	h.cancels[o.attempt-1]()
	h.failed = append(h.failed, o.err)
	if h.isFatal(o.err) {
		return true
	}
	wait, _ := pushback(o.err)
	more, why := h.afterFailure(h.ctx, len(h.cancels), wait)
	switch {
	case !more || !h.more:
		h.stop(why)
	case wait > 0:
		h.startIn(wait)
	default:
		h.start()
	}
	return false
}

// record takes in what every outcome means, before and after the call is decided, and tells whether the attempt did not
// return.
func (h *hedge[T]) record(o outcome[T]) bool {
	h.running--
	if o.panicked != nil && h.panicked == nil {
		h.panicked = o.panicked
	}
	if !o.returned && o.panicked == nil {
		h.exited = true
	}
	return !o.returned
}

// finish ends all attempts, except the context of a winner that is held, waits for them, and discards what they return.
// If one of them did not return, there is no winner either.
func (h *hedge[T]) finish(discard []func(T)) {
	if h.timer != nil {
		h.timer.Stop()
	}
	for i, cancel := range h.cancels {
		if !h.held || i+1 != h.winner {
			cancel()
		}
	}
	for h.running > 0 {
		if o := <-h.outcomes; !h.record(o) && o.err == nil {
			h.late = append(h.late, o.v)
		}
	}
	if h.winner > 0 && (h.panicked != nil || h.exited) {
		h.cancels[h.winner-1]()
		h.late = append(h.late, h.value)
	}
	discarded := false
	defer func() {
		if h.winner > 0 && !discarded { // a discard did not return, so there will be no release
			h.cancels[h.winner-1]()
		}
	}()
	for _, v := range h.late {
		for _, d := range discard {
			d(v)
		}
	}
	discarded = true
}

// attempt calls f on a goroutine of its own and sends how that ended. There is always a receiver: finish stays for it.
func attempt[T any](ctx context.Context, n int, f func(context.Context, int) (T, error), outcomes chan<- outcome[T]) {
	o := outcome[T]{attempt: n}
	defer func() {
		if !o.returned {
			if p := recover(); p != nil { // nil is Goexit
				o.panicked = fault.Recovered(p, fmt.Sprintf("attempt %d", n))
			}
		}
		outcomes <- o
	}()
	o.v, o.err = f(ctx, n)
	o.returned = true
}
