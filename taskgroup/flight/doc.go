// Package flight coalesces identical calls: while a load for a key runs, everybody who wants the same waits for that one
// load instead of starting another.
//
// # Usage
//
// The zero [Group] is ready for use. It stands in front of what must not be asked the same question many times at once,
// as a database behind a cache is whenever a popular entry expires:
//
//	var prices flight.Group[string, int]
//
//	price, _, err := prices.Do(ctx, "tea", func(ctx context.Context) (int, error) {
//		return db.Price(ctx, "tea")
//	})
//
// A Group is no cache: it keeps nothing of a load that has returned.
//
// # Guarantees
//
//   - Of the loads of a key, at most one can be joined. It is joined from its start until it returns, its Timeout is
//     over, its last caller has left, or [Group.Forget] is called, whichever comes first.
//   - The load belongs to all its callers alike: its context has the values of the first, but ends neither with that
//     caller's context nor at that caller's deadline.
//   - Every caller that is still there when the load returns gets what it returned. What fn does synchronizes before the
//     return of those calls.
//   - No caller is kept beyond the end of its own context, whatever the load does.
//   - Between loads a Group has no goroutine, no timer and no keys, so there is nothing to close.
//
// # Cancellation
//
// A caller whose context ends leaves with [context.Cause] of it; the load goes on for the others. When the last one
// leaves, the load is cancelled, and the next call of Do for that key starts another. A load whose context has ended
// before its goroutine got to run is not started at all.
//
// The one that leaves last does not wait for the load either, because a caller whose time is over has to answer. So a
// load can outlive its callers by as long as it takes to notice that it has been cancelled, and what it returns or
// panics with by then is lost. Where that matters, as it does for a database that is about to be closed, the load does
// its work where it is waited for: in an executor's pool, say, which is drained first.
//
// A busy key may never be left by all its callers, because there is always one more of them. [Group.Timeout] is for that
// case: a load whose time is over is cancelled and no longer joined, so one that takes no notice does not hold its
// key for good. Those who wait for it already go on waiting, since a late answer is an answer; its error comes back in
// a [*TimeoutError].
//
// # Panics
//
// A panic in a load is returned to every caller as a [*PanicError], which carries the stack, and [runtime.Goexit] as
// [ErrGoexit]; the process goes on.
//
// # Cost
//
// A load costs about a microsecond more than a call of fn, for it runs on a goroutine of its own; whoever joins it costs
// no allocation. So coalescing pays for loads that take longer than that.
// Calls for different keys share one mutex, which is held for a map operation. internal/bench compares Group with
// golang.org/x/sync/singleflight.
//
// # Testing
//
// Inside a bubble of testing/synctest a load belongs to the bubble of the caller that started it, and has to return
// before the bubble ends, also when it has been left behind. A Group may be used in one bubble after the other, so it
// may be a package-level variable.
package flight
