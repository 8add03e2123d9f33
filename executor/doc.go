// Package executor gives code that blocks or computes a bounded place to run, which its callers can leave.
//
// # Usage
//
// A [Pool] runs at most Workers calls at a time, lets at most Queue more wait, and refuses the rest at once:
//
//	pool, err := executor.New(executor.Config{Name: "thumbnails", Workers: 4})
//	if err != nil {
//		return err
//	}
//	defer pool.Close()
//
//	thumb, err := executor.Do(ctx, pool, func(ctx context.Context) (image.Image, error) {
//		return resize(ctx, img)
//	})
//
// [Do] waits for the result, [Submit] returns a [Future] of it. What the error of either says about fn:
//
//	errors.Is(err, ErrNotStarted)   it was not called: the pool refused it, or ctx ended first
//	*AbandonedError                 it was running when ctx ended, and may be running still
//	*PanicError, ErrGoexit          it did not return
//	any other, or nil               it returned that
//
// Of the calls that were not started those with [ErrQueueFull], [ErrMaxWait], [ErrShed] and [ErrClosed] can be made
// again, here after a pause or elsewhere at once: nothing has been done.
//
// Pools that serve many give each call a [Key], and what can wait a [Priority]. Those that get more than they can do
// bound the waiting by Config.MaxWait, or by a [CoDel] that lets bursts wait and nothing else. Where nobody knows how many
// calls are good, a [Limiter] finds out. StuckAfter tells of calls that do not return. A pool pays for what its Config
// asks for.
//
// A pool must be closed: [Pool.Drain] lets the calls end, [Pool.Close] gives them 100 ms.
//
// # Guarantees
//
//   - At most Workers slots are taken, whatever callers do. A call that its caller has left keeps its slot until fn
//     returns; [Pool.Stats] counts it, and Drain waits for it or reports it.
//   - None of the calls that wait is lost, and none is started twice. Those of the same key and priority start in the order
//     in which they came; in an overload that a CoDel sees, in the opposite one.
//   - Keys that have calls waiting take turns, so a key waits at most for one call of each other key, not for all. Calls
//     without a key are one key in this, but PerKey does not hold for them.
//   - Higher priorities go first, but each level that waits has a turn after sixteen turns of others, Low one later if
//     Normal waits, too.
//   - A full queue makes room for a call of a higher priority than the lowest in it, or of a key that has at least two
//     calls fewer in it than another of the same priority: the last call of that gets [ErrShed]. So a busy key cannot keep
//     the others out. To find that call, each key that waits is looked at.
//   - The slot of a call is free before its caller knows that the call has ended.
//   - A call made with the ctx of another call on the same pool is nested in that call: it runs in its parent's slot,
//     one at a time, and needs no place in the queue. So a call on a pool may wait for what it calls there itself, with
//     the ctx that it got, and so on down, at any size of the pool. Calls nested in the same call must not wait for each
//     other, and those that do so across pools need an order, as locks do.
//   - When Drain or Close has returned nil, no goroutine of the pool is left. When it returns a [*DrainError], that
//     lists every call that runs, for how long and where.
//
// Go cannot stop a goroutine from outside. A call that never returns therefore costs one slot, forever, and that is
// all it costs: callers behind it leave with their ctx, and others are refused. With StuckAfter it is reported with its
// stack, and a pool all of whose slots are stuck refuses calls at once. Code that must be stoppable belongs in a process of
// its own.
//
// # Cancellation
//
// A call whose ctx has ended is not started. When ctx ends while fn runs, the caller leaves with an
// [*AbandonedError], at once. A call that runs on the caller's goroutine, because of [Inline] or because ctx cannot
// end, is the exception: there is nobody to leave. Await's ctx ends the waiting, Submit's the call.
//
// The ctx that fn gets ends with the caller's, when Drain gives up, and when fn returns. One that fn has left behind
// stays ended.
//
// # Panics
//
// A panic in fn comes back as a [*PanicError] with the stack of the panic, and [runtime.Goexit] as [ErrGoexit]; on the
// caller's own goroutine Goexit goes on, after the slot has been freed. A call that has been abandoned drops its
// panic like its result. A panic in a hook, a Limiter or OnStuck is nobody's to catch. Submit with Inline panics, and so do
// calls of a nil fn or on a Pool that New has not made, and options and limiters that are out of bounds.
//
// # Cost
//
// Goroutines are kept for later calls, and so are their stacks, which have grown to what the calls need: deep calls
// cost a quarter of what they cost on a goroutine each, and others no more (BenchmarkAgainst, and call/ in internal/bench
// beside other pools). A parked worker holds about 3 KiB, and more where calls need deeper stacks. There are never more of
// them than Workers, and none before the first call; they end with the pool. A call that returns before its caller goes
// to sleep, as short ones do, spares the caller a select.
//
// An uncontended Do takes one lock to start and one to end, and allocates nothing but, on every eighth call, room for
// the next contexts, and room for the result where the call before had one of another type (BenchmarkDo). A cancel context
// is made only if fn asks its ctx for Done, as deriving from it does. Inline spares the goroutines and, where no call waits
// and fn does not ask for Done, the locks, and costs a fifth of that; a refusal costs no more (BenchmarkRefused). Nested
// calls and Submit allocate, and so do calls with a key under PerKey, and the first that waits of a key. A Future with
// observers takes a goroutine for them. Observers, MaxWait, CoDel, a Limiter and StuckAfter make each call read the clock; a
// Limiter and a CoDel take one or two locks more, and with these, PerKey or StuckAfter so do inline calls.
//
// # Testing
//
// A pool belongs to the synctest bubble that uses it first: make it there, and close it there, for parked workers
// keep a bubble from ending. Ages and waits are exact on a bubble's clock. The pool is tested against a sequential
// model (FuzzPool): random calls with keys and priorities, ends, panics, cancellations, sizes and drains.
package executor
