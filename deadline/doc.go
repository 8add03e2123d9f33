// Package deadline gives work a limited time and says whose time it was that ran out.
//
// # Usage
//
// A budget has a name, and nests. The error of a call that took too long names the budget to blame, which need not be
// its own:
//
//	row, err := deadline.Do(ctx, "db", 50*time.Millisecond, func(ctx context.Context) (Row, error) {
//		return db.Find(ctx, id)
//	})
//	// deadline: db: 50ms exceeded: read tcp: i/o timeout
//	// deadline: request: 300ms exceeded (inherited): read tcp: i/o timeout
//
// The functions that make a context, and those that call with one:
//
//	With     ends d from now
//	Reserve  ends so long before the parent that there is time to answer
//	Share    ends after a part of what the parent has left
//	Cleanup  ends d from now, though the parent may have ended
//	Linger   ends d after the parent
//
//	Do       calls a function within a budget
//	Retry    calls it again when it fails, as long as there is time
//	Hedge    calls it again beside itself when it is slow
//
// [Require] asks whether there is time left to begin something, [Remaining] how much, and [Cause] which budget ended a
// context. Package httpdeadline carries a deadline from one service to the next.
//
// # Guarantees
//
// Every [Error] is a timeout for errors.Is with context.DeadlineExceeded, for net.Error, and for url.Error. A cancelled
// context is never reported as one that ran out of time, even if another's timeout is why it was cancelled. Time is
// over when the clock says so, also in the moment before the runtime has fired the timer.
//
// No function is called when no time is left, no attempt begins at the deadline or after it, and nobody waits for an
// attempt that could not be made any more. A result is a result, however late.
//
// No goroutine outlives a call. What outlives a call of [HedgeHeld] is one context, until it is released.
//
// # Cancellation
//
// Nothing here abandons a function that it has called: [Do], [Retry] and [Hedge] tell it through its context that it
// should end and wait until it does. Only the wait between two attempts is cut short by the end of ctx. To leave behind
// code that does not listen to its context, use package executor.
//
// # Panics
//
// Do and Retry run functions on the caller's goroutine and let a panic pass. Hedge runs them on goroutines of their
// own; a panic in one cancels the others and is panicked with again, as a *taskgroup.PanicError with the original
// stack, on the caller's goroutine, once all have returned. [runtime.Goexit] in one has the same effect and then exits
// the caller's goroutine. Impossible arguments (a share of 2, a negative number of attempts) panic.
//
// # Cost
//
// With costs a small allocation more than context.WithTimeoutCause, and less than that if the parent's deadline is
// nearer, since it sets no timer then (BenchmarkWith). Do adds nothing to that (BenchmarkDo). A Retry whose first
// attempt succeeds allocates nothing (BenchmarkRetry). A Hedge costs a goroutine, a timer and about ten small
// allocations (BenchmarkHedge).
//
// # Testing
//
// Everything here keeps to the clock of testing/synctest, with no state outside of contexts, calls and Budgets: in a
// bubble, times are exact.
package deadline
