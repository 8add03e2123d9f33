package executor

import "context"

// Future is a call that [Submit] has started.
type Future[T any] struct {
	call call
	task taskOf[T]
}

// Submit is [Do] without the wait: it returns at once, and [Future.Await] returns what Do would have returned. ctx
// is the ctx of the call, as in Do: when it ends, the call is not started any more, or is abandoned, whether or not
// somebody awaits it. Dropping the Future drops the result, not the call. fn runs on a worker's goroutine; Submit
// panics if it is given [Inline].
//
// The return of fn synchronizes before the return of its result by Await.
func Submit[T any](
	ctx context.Context, p *Pool, fn func(context.Context) (T, error), opts ...CallOption,
) *Future[T] {
	if fn == nil {
		panic("executor: Submit called with a nil function")
	}
	o := combine(opts)
	if o.inline {
		panic("executor: Submit called with Inline")
	}
	f := &Future[T]{task: taskOf[T]{fn: fn}}
	c := &f.call
	c.wake = make(chan struct{}, 1)
	c.task = &f.task
	c.spare = make([]callContext, 1)
	c.fill(p, ctx, fn, o)
	if c.observers != nil {
		c.tells = true
		p.mu.Lock()
		p.reporting++
		p.mu.Unlock()
	}
	if ctx.Err() != nil {
		c.refuse(p, notStarted(context.Cause(ctx)))
		return f
	}
	if ctx.Done() != nil {
		c.stop = context.AfterFunc(ctx, func() {
			if c.leave(p, ctx) {
				c.release(p)
			}
		})
	}
	w, _, err := p.admit(c, p.enclosing(ctx), o.noWait)
	if err != nil {
		c.refuse(p, err)
	}
	if w != nil {
		w.start()
	}
	return f
}

// Await waits for the call and returns what [Do] would have returned. If ctx ends first it returns the cause of
// that; this ends the wait, not the call, which can be awaited again, by several goroutines.
func (f *Future[T]) Await(ctx context.Context) (T, error) {
	c := &f.call
	select {
	case <-c.wake:
	default:
		select {
		case <-c.wake:
		case <-ctx.Done():
			var zero T
			return zero, context.Cause(ctx)
		}
	}
	c.wake <- struct{}{} // for the next
	if c.load().phase() == done {
		return f.task.value, f.task.err
	}
	var zero T
	return zero, c.err
}
