// Package shutdown starts the components of a service in order, and stops them in order within a budget: no request is
// lost, nothing waits for ever, and whatever is stuck is named with its stack.
//
// # Usage
//
// A service is a list of components. Each says in which [Phase] of a stop it has its turn; Run starts them all, waits
// until a signal or a failure asks for an end, and stops them:
//
//	app, err := shutdown.New(shutdown.Config{DrainDelay: 5 * time.Second})
//	if err != nil {
//		return err
//	}
//	app.Add(
//		shutdown.HTTP("http", server, listener),
//		shutdown.Component{Name: "mailer", Phase: shutdown.Work, Run: mailer.Run, Stop: mailer.Drain, Needs: []string{"db"}},
//		shutdown.Component{Name: "db", Start: db.Ping, Stop: func(context.Context) error { return db.Close() }},
//	)
//	os.Exit(shutdown.ExitCode(app.Run(ctx)))
//
// Two things can end: the wait for new work, and the work. Code that waits (for a message, for a tick, for the next
// event of a stream) selects on [Stopping], which closes when the stop begins and cancels nothing. Code that works uses
// its context, which stays alive until the work is done or its time is up. So a drain never finds that its own signal
// has killed what it was to wait for.
//
// # Guarantees
//
//   - Components stop in the order of their phases; within a phase together, except that one which needs another stops
//     before it. They start in the reverse order. Run refuses to start anything if phases and needs disagree.
//   - Every component that has started is stopped, exactly once, whatever becomes of the others. One whose Start
//     failed is not; those that had started by then are stopped in reverse, with contexts of their own.
//   - The whole stop ends within Config.Timeout of what asked for it, Config.DrainDelay included. The phases before
//     [Resources] end Config.Reserve earlier. A hook gets the rest of that, or its StopTimeout if that is less; then
//     its component's context ends, a second later its Kill is called, and the stop goes on without it.
//   - Every hook is called, even when those before it have used up the time: a tenth of a second is kept for each.
//   - A first signal stops the app, a second one hurries it, a third ends the process. A signal that follows another
//     within half a second is taken for its echo: shells and supervisors tend to deliver one to the process and
//     its group.
//   - Run returns nil, or a [*Report] that says what each component did and what is stuck where. [ExitCode] is its
//     short form. [App.Report] can be asked at any moment; Config.Logger and [Hooks] are told of failures as they happen, so
//     that main has nothing to print.
//   - A stuck hook is reported with the stacks of its goroutine and of all that its component has started, whether or not
//     those which started them live on: they carry the profiler label "shutdown" with its name.
//   - A service manager that sets NOTIFY_SOCKET, as systemd does for services of Type=notify, is told when the app is
//     ready, that it stops, and how long that may take.
//
// # Cancellation
//
// The end of the context given to Run asks for a stop, as a signal does; it reaches no hook. Hooks have contexts with
// the values of Run's and ends of their own: that of Start ends when the app is asked to stop or StartTimeout has
// passed, that of Stop when its time is up, and that of Run after the component's Stop has returned or run out of time.
// A component without Stop is stopped by the end of the context of its Run. The cause of such an end is [ErrStopping].
// A Run that returns nothing but the end of its context has not failed, nor has a Start that a stop interrupted.
//
// # Panics
//
// A panic in a hook is its failure: an error that is a [*PanicError] with the original stack. So is runtime.Goexit. A
// panic in a handler of [HTTP] is net/http's affair. The caller's mistakes panic: Add after Run, a second Run, an App that
// [New] has not made.
//
// # Cost
//
// A hook is a goroutine. [App.Track] costs about a microsecond (BenchmarkTrack). [HTTP] adds one small object and a few
// uncontended locks to a request (BenchmarkHTTPRequest compares it with the bare server). internal/bench/cmd/drain
// compares drains with those of others.
//
// # Testing
//
// Everything but HTTP's sockets runs inside testing/synctest: make the App in the bubble, give it Config.SignalSource
// and Config.Exit, and a stop of half a minute takes no time. [App.Report] tells the order in which things went.
package shutdown
