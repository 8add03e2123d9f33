// Package grove is the root of Grove, a library for structured concurrency in services. It exports nothing; the packages
// below it do the work, and each can be used without the others:
//
//	taskgroup               scopes of tasks: cancel the rest when one fails, lose no error, leak nothing
//	taskgroup/flight        one load for identical calls that come at the same time
//	deadline                named time budgets, split and reserved; retries and hedges within them
//	deadline/httpdeadline   budgets that cross HTTP
//	executor                bounded pools for calls that block
//	shutdown                start in order, drain without losing a request, stop in order
//	looplag                 how late the scheduler is, and why
//	looplag/shed            refuses what a server has no time for
//	observe                 metrics, traces, a log of failures, and a live page
//
// # Arrows
//
// taskgroup, deadline, looplag and looplag/shed import nothing of Grove but internal packages; executor and shutdown may
// import taskgroup and deadline, and observe all five. Nothing imports the examples. A test holds every package to that.
//
// # Guarantees
//
// What holds in all packages:
//
//   - No goroutine outlives the call or the object that owns it, and none is started by an import. The exceptions are
//     named: an executor's call whose caller has left runs on in its slot, and is counted until it returns.
//   - Every operation that can block takes a context, and says whether the operation has happened when the context
//     ended it.
//   - A context that a package ends has a cause that says who ended it and why.
//   - A panic in a goroutine that Grove started reaches the one who waits for it, with the stack it began with.
//   - What the environment does is an error; what the caller does wrong is a panic that names the function.
//   - Everything can be tested inside a testing/synctest bubble, and with goleak.
package grove
