// Package shed refuses requests that a server has no time for, so that the others are answered in time.
//
// # Usage
//
// A server that is offered more than it can do answers nobody: all requests wait in one queue, which grows until their
// clients have given up before their turn comes, and what it still does is for nobody. At twice what it can do, the
// goodput of the server of docs/shedding.md falls to nothing within seconds. A [Shedder] refuses what is too much:
//
//	probe := looplag.New(looplag.Config{})
//	go probe.Run(ctx)
//	s := shed.New(probe, shed.Policy{Priority: func(r *http.Request) shed.Priority {
//		switch r.URL.Path {
//		case "/livez", "/events":
//			return shed.Critical
//		case "/suggest":
//			return shed.Sheddable
//		}
//		return shed.Normal
//	}})
//	server.Handler = s.Middleware(server.Handler)
//
// It looks at how long requests wait until they run, before any code of the server's sees them. That is what grows when
// the processors have too much to do, whatever the requests compute and however many there are. A server that waits for
// something else, such as a database, is not late in this sense, and more requests do not make it so: bound what is in
// flight there, with package executor. Nor does refusing requests help when something else takes the processors; give
// computing in the background fewer workers than there are processors.
//
// # Guarantees
//
//   - Nothing is refused until requests have waited for more than two Targets ([Policy]) for as long as four. A burst, a
//     pause of the garbage collector, a stall that is over: they drain by themselves.
//   - From then on the share that is refused follows the wait, so that it comes to one Target: a quarter at once for
//     each Target that it is too long, and as much again for every six that it stays so. When waits have been short for
//     25 Targets, nothing is refused any more.
//   - Critical requests are never refused, and of the others at most nine tenths. Normal ones are refused when nine
//     tenths of the Sheddable ones are not enough.
//   - Below Policy.MinVolume requests a second, averaged over about one, nothing is refused.
//   - A probe that does not run is never late: a Shedder whose probe is stopped opens.
//   - A refused request is answered before its body has come, but for one of up to 4 KiB in HTTP/1.
//   - Without requests nothing runs.
//
// # Cancellation
//
// Nothing blocks, and there is nothing to close: about a second after the last request the timer of the Shedder stops.
//
// # Panics
//
// New panics if its source is nil or a field of its Policy is out of bounds, Middleware if its handler is nil, Allow if its
// priority is none or New has not made the Shedder. A panic of Policy.Priority is the request's; one of the source, such as
// that of a nil *looplag.Probe, ends the process.
//
// # Cost
//
// Allow costs 7 ns and allocates nothing (BenchmarkAllow); on two processors that do nothing else, 13 ns
// (BenchmarkAllowInParallel). A refusal costs 0.5 µs (BenchmarkRefusal) beside what net/http takes for any request, which
// is what bounds the goodput: see docs/shedding.md. While requests come, the source is looked at every 50 ms, and every
// 10 ms while it is late.
//
// # Testing
//
// In a bubble of testing/synctest looks are exact. A [Source] is one method, so that a test makes a server as late as it
// wants. The tests of this package let a model of a server run under the law, in open loop.
package shed
