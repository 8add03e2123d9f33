// Package taskgroup runs the concurrent tasks of one piece of work as a scope: none of them outlives it, the first
// failure cancels the rest, and no error is lost.
//
// # Usage
//
// [Run] calls a function with a group, and returns when the function and everything that was started in the group
// have ended:
//
//	err := taskgroup.Run(ctx, func(ctx context.Context, g *taskgroup.Group) error {
//		g.Go(func(ctx context.Context) error { return loadUser(ctx, id) })
//		g.Go(func(ctx context.Context) error { return loadOrders(ctx, id) })
//		return nil
//	})
//
// The context of the group is a parameter, of the function and of each task, so that it hides the outer one where it
// is to be used, and is gone where it has ended. A group that belongs to a longer-lived object is made with [New]
// and ended with [Group.Stop].
//
// Tasks with results, and scopes that are one statement:
//
//	Async     a task with a result, for which Future.Await waits
//	ForEach   calls a function for each item of a sequence
//	Map       the same for a slice, with the results in order
//	Stream    ranges over the results as they come
//	Ordered   ranges over them in the order of the items
//	First     takes the first success among several functions
//	Quorum    takes the first n
//
// The loops have a limit as a parameter and pull an item only when a slot is free: they are the way to run many tasks.
// Groups take one with [Limit], or share one with others through a [Limiter].
//
// # Guarantees
//
//   - Nothing outlives the scope: when Run, Wait or Stop returns, all tasks have ended.
//   - The first failure cancels the rest. Under [KeepGoing] nothing is cancelled and all failures are reported.
//   - The result is nil or an [*Error], which keeps the cause and every failure up to [MaxErrors], and counts the others.
//   - A failure is recorded before the context is cancelled, so the cause is what went wrong first and never what
//     went wrong because of it.
//   - Every accepted task gets to run, whatever the others do: tasks may wait for one another. At a [Limit] they may
//     wait with [Future.Await], which runs a queued task itself; a task that waits in another way keeps its slot.
//   - Go never blocks, so tasks may start tasks at the limit. A task that waits for a group inside it, or in Await,
//     lends its units of their common [Limiter] meanwhile.
//   - The end of each task synchronizes before the return of Wait and the closing of Done.
//
// # Cancellation
//
// A group that ends by itself, through a failure, [Group.Cancel] or [Group.Stop], cancels its context with a
// [*CancelError]: it is [context.Canceled] to those who only ask whether to stop, and leads to the cause. The end of the
// parent's context is passed on as it is.
//
// What is queued when a group ends is not started, and neither is what is given to it later: [Error.Skipped] counts
// both. A task given to Go just before a failure may therefore never run. Tasks that run are asked to stop by their
// context, and waited for.
//
// A task that stops because it was asked to returns an error that says so. Such an echo is counted in
// [Error.Canceled] and not listed. An error is an echo if the task's context was done when it returned and every part of
// the error is the context's error, its cause, [context.Canceled] or what [Cancellation] recognizes; anything else is
// listed, even after the cancellation. An error that says "canceled" while the context is alive is a failure.
//
// When the parent's context ends and no task takes notice, because all have been started and return nil, the work is
// complete and the result is nil. Otherwise it is an [*Error] with the parent's cause. After Cancel(nil) or Stop the
// result is nil unless a task failed, after Cancel(err) always an [*Error].
//
// # Panics
//
// A panic in a task cancels the group, and the owner's Run, Wait or Stop panics with a [*PanicError] that carries the
// stack of the task, when the other tasks have ended. So a server that recovers panics in its handlers recovers those of
// their tasks. Until then the goroutine that panicked is kept as it is: if no owner has come for the panic after 30
// seconds, it goes on there, and the process dies with the frames that tell why. [OnPanic] has other policies.
//
// net/http's ErrAbortHandler is panicked with as it is. A panic in the body of Run is not recovered at all: the group is
// cancelled, its tasks are waited for, for 30 seconds at most, and it goes on. [Grace] can make that longer.
//
// [runtime.Goexit] in a task, which is what t.FailNow in a test is, makes the owner do the same. Should several things
// have happened, a panic counts before a Goexit, and a Goexit before an error.
//
// # Cost
//
// Tasks are run by workers, which are goroutines that take one task after the other from a queue: a burst of short tasks
// is run by a few goroutines, whose stacks have grown, and a group of tasks that block by one goroutine each. A
// group costs two allocations and a task none but its closure. The context with a Done channel is made when it is
// first asked for. internal/bench compares groups with their peers; the results are in the README.
//
// The price is paid when the processors are saturated by other goroutines: the scheduler shares them out by
// goroutine, and a group of CPU-bound tasks has fewer of those than tasks. And what belongs to a goroutine is not that of
// a task: pprof labels around Run are those of all its tasks, but a task that wants its own sets them itself, with
// pprof.Do, since a worker keeps those of whoever started it.
//
// # Testing
//
// Everything runs inside a testing/synctest bubble: groups block on nothing that a bubble cannot see. A test fails if
// a task calls t.FailNow, since Goexit is handed on.
package taskgroup
