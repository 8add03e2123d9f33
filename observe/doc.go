// Package observe shows what the other packages do: metrics and traces for OpenTelemetry, a record in the log for every
// failure, and a page that tells who is on call what runs, what waits, what is late, and who has canceled what.
//
// # Usage
//
// An [Observer] is told of everything once, when the service is put together:
//
//	o, err := observe.New(observe.Config{MeterProvider: meters, TracerProvider: tracers, Logger: log})
//	...
//	o.App(app)         // a shutdown.App
//	o.Executor(pool)   // any number of them
//	o.Probe(probe)     // a looplag.Probe
//	o.Shedder(shedder) // a shed.Shedder
//	server.Handler = o.Recover(handler)
//	operators.Handle("/debug/grove", o.Handler())
//	app.Add(shutdown.Component{Name: "observer", Phase: shutdown.Telemetry, Run: o.Run})
//	err = app.Run(o.Context(ctx)) // groups that are made with this context, or one that comes from it, are observed
//
// The page has three forms at one address: text for curl, JSON, and HTML that keeps itself up to date.
//
// docs/observe.md lists the metrics, the lints, and what is on the page.
//
// # Guarantees
//
//   - What is not observed costs one look at a nil pointer.
//   - A failure of a task has one record in the log, where it happened. The groups around pass it up, and the tasks
//     that return it say nothing new; [errors.Join] with something that is new does. The same holds for panics, which
//     are counted once, too.
//   - The attributes of metrics are of bounded number: names of groups beyond the first 200 count as _OTHER. Names and
//     errors are cut and cleaned before they reach a metric, a terminal or a browser, whatever users have put into them.
//   - The page is of bounded size and made at most twice a second, for all who look together. Tasks of one function are
//     one line of it, so a hundred thousand cost what they need to be counted.
//   - Nobody waits for a reader. Metrics are read from atomics and snapshots, a browser that does not read is left once
//     its buffers have been full for five seconds, and no more than sixteen are kept up to date. The page does not wait
//     for the log.
//   - Only the machine itself sees the page unless [Config.Allow] says otherwise. It changes nothing unless
//     [Config.Actions] is set, and then not for other sites.
//
// # Cancellation
//
// Canceling a group from the page is [taskgroup.Hooks.Cancel]: its tasks are asked to stop, and the cause says that it was
// the page. [Observer.Run] ends with its context and leaves nothing behind. Streams end with their requests, and when
// the app that serves them stops.
//
// # Panics
//
// [Observer.Recover] turns a panic of a handler, or of a task of its groups, into an answer of status 500. Nothing else
// here recovers: a panic of a provider's or a logger's code is one of the task that it was called for.
//
// # Cost
//
// An observed group costs about two microseconds more, an observed task half of one, and an observed call one: for clocks,
// to hear of the end of the parent, and for OpenTelemetry's SDK, which takes about a fifth of a microsecond for each value
// of a histogram. The cases observe/ of internal/bench measure it, and docs/observe.md has the figures. What it costs a
// whole server is BenchmarkObserved of examples/search: two hundredths of the throughput where a request searches by
// words, seven where it only fetches a row by its key. BenchmarkPage has the cost of looking, 3 to 4 ms with a hundred
// thousand tasks.
//
// # Testing
//
// Everything runs inside a testing/synctest bubble. Have [Config.Allow] return true there, since a request without a
// connection comes from nowhere.
package observe
