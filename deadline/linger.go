package deadline

import (
	"context"
	"sync/atomic"
	"time"
)

// Cleanup returns a context with the values of ctx that ends d from now, whether or not ctx has ended or will: for what
// must be done at the end of a piece of work in any case, and in bounded time. When d is over its cause is an [*Error]
// with the name "cleanup". Call cancel as soon as the work is done.
func Cleanup(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return With(context.WithoutCancel(ctx), "cleanup", d)
}

// Linger returns a context with the values of ctx that ends d after ctx does: for work that may go on for a moment once
// its caller has gone. Its cause is then an [*Error] with the name "linger", though its Err is context.Canceled if that
// of ctx was ([Cause] says who can tell); its deadline, if ctx has one, is d later than that of ctx. If ctx has ended
// already, the context ends d from now.
//
// Nothing but a registration with ctx waits, no goroutine; a timer exists from the end of ctx on. Call cancel as soon
// as the work is done: it removes both.
func Linger(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	d = max(d, 0)
	base, stopBase := context.WithoutCancel(ctx), func() {}
	if ctx.Err() != nil {
		return With(base, "linger", d)
	}
	b := &budgetCtx{own: Error{Name: "linger", Limit: d}, parent: base}
	deadline, bounded := ctx.Deadline()
	if bounded {
		base, stopBase = context.WithDeadlineCause(base, deadline.Add(d), &b.own)
	}
	lingering, end := context.WithCancelCause(base)

	var timer atomic.Pointer[time.Timer]
	unregister := context.AfterFunc(ctx, func() {
		if bounded && ctx.Err() == context.DeadlineExceeded {
			return // base has a timer for that
		}
		t := time.AfterFunc(d, func() { end(&b.own) })
		timer.Store(t)
		// A cancel that did not see the timer above had ended the context before it looked.
		if lingering.Err() != nil {
			t.Stop()
		}
	})
	b.Context = lingering
	return b, func() {
		end(nil)
		unregister()
		stopBase()
		if t := timer.Load(); t != nil {
			t.Stop()
		}
	}
}
