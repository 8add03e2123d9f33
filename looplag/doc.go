// Package looplag tells how late the Go scheduler is, and why.
//
// # Usage
//
// The program that everybody writes first is wrong:
//
//	var lag atomic.Int64
//	for due := range time.Tick(20 * time.Millisecond) {
//		lag.Store(int64(time.Since(due)))
//	}
//
// With 64 goroutines that compute for 100 µs at a time on two processors, its median is 0.1 ms while requests wait for
// a second (docs/looplag.md). Where the scheduler had one queue, a late timer would mean late requests. In Go it does not: a
// processor looks at its timers before it looks at its queue, and runs the goroutine of a timer that is due next. The
// ticker jumps the queue in which the requests stand; it measures the longest slice, not the queue. Nor do requests wait
// only there: as long as there is anything else to run, sockets are looked at only every 10 ms.
//
// A [Probe] therefore does to itself what is done to a server. It sends a byte through a pipe to a goroutine that is
// blocked in a Read, and measures when that runs again:
//
//	probe := looplag.New(looplag.Config{})
//	go probe.Run(ctx)
//	...
//	s := probe.Snapshot()
//	log.Printf("requests wait for %v (p50), %v (p99): %v", s.Net.P50, s.Net.P99, s.Cause)
//
// A [Snapshot] is about the last 2.5 s and puts side by side:
//
//	Net       how long requests wait until they are noticed and their goroutine runs: the figure to act on
//	Timer     how late timers fire: sleeps, tickers, the deadlines of contexts
//	Queue     how long a goroutine waits in one processor's run queue, if Config.Queue asks for it
//	Sched     how long goroutines wait in run queues, from the runtime's own histogram
//	RunQueue  how many of them there are
//	STW       for how long the world was stopped, by the garbage collector and by others
//	GCWork    what the garbage collector took of the processors besides
//	CPU       for how long the cgroup's quota held the process back
//	Pressure  for how long somebody in the cgroup waited for a processor of the machine
//	OS        for how long the process's own threads ran and waited
//	Cause     which of these, or what else, is to blame
//
// [Probe.Overdue] tells how late the probe is at this moment, and so reports a stall before it is over. A Probe that does
// not run still tells what the runtime measures by itself, and costs nothing between two Snapshots.
//
// An event loop of the application that must not be held up is watched, and [Probe.OnBreach] tells when it is, and where:
//
//	probe.OnBreach(looplag.Rule{}, func(b looplag.Breach) { log.Print(b) })
//	loop := probe.Watch("hub", 50*time.Millisecond)
//	for event := range events {
//		loop.Begin()
//		handle(event) // looplag: loop "hub" is stuck for 60ms in main.(*hub).save (hub.go:41)
//		loop.End()
//	}
//
// It tells of lag, too, with the evidence that the [Rule] asks for: the stacks of all goroutines, what the application's
// flight recorder has, a CPU profile.
//
// # Guarantees
//
//   - Nothing runs before Run is called or after it has returned.
//   - Snapshot and Overdue never block, and while Run runs they take no lock.
//   - Quantiles of Net and Timer are shares of time, not of samples: the probe looks more often while something is late,
//     and a stall that hid ten ticks counts for all of them. A byte that is still under way counts with its age.
//   - What is not measured says so and is not zero. This holds for what the kernel counts, and for metrics that a later
//     runtime may not have.
//   - A turn of a watched loop that is too long is reported while it lasts, once, and again whenever it has lasted twice
//     as long. Lag is reported when it begins.
//   - What the probe does to gather evidence is held against nobody: its pauses are not in STW and have no Cause.
//   - GOMAXPROCS is read anew each time; the runtime changes it when the quota changes.
//
// Net is one wait, that of a request from another process; a client within the process waits a second time, for the
// answer. It is neither the time that the handler takes nor what it pays to the garbage collector for its allocations.
// Where no queue forms, but each processor has one goroutine that computes without end, Net is up to twice too long: the
// probe can only send at the beginning of a slice, and requests come in the middle of it too. docs/looplag.md has what
// Net and its peers said of a server in ten kinds of trouble, beside what its client waited.
//
// # Cancellation
//
// Run ends with its context, returns the context's cause, and leaves nothing behind: it waits for functions given to
// OnBreach that were called and have not returned. The window ends with it.
//
// # Panics
//
// New, Watch and OnBreach panic if what they are given is out of bounds, Run if the probe runs already, Run and Snapshot if
// New has not made the probe, Begin within a turn and End outside of one. A panic of Config.Pipe, of its ends, or of a function given to OnBreach is not recovered.
//
// # Cost
//
// Measured on two virtual processors; docs/looplag.md has the figures and the command. A Snapshot costs 0.1 µs while Run runs
// and 1.5 µs otherwise (BenchmarkSnapshot), Overdue 40 ns (BenchmarkOverdue), a Begin and its End 0.1 µs, twice the reading of
// a clock (BenchmarkTurn); they allocate nothing. A tick computes for 1 µs; one that describes the window for 3 µs, and
// allocates the next Snapshot (BenchmarkTick): while nothing is late that is every 10 ms at most. What really costs is to wake
// a thread of an idle process: 4 ticks a second and half as many bytes, which is what an idle process gets, take 0.14 % of a
// processor, where a ticker of that period takes 0.09 % (BenchmarkIdle). While something is late there are 100 a second.
// A Probe that always ticks every 20, 10 or 1 ms costs up to twice as much as a bare ticker. A report of a stuck loop
// stops the world for as long as it takes to write down the stacks of all goroutines: with a thousand of them and
// [Rule.Stacks] it takes 18 ms (BenchmarkGather), not all of them stopped.
//
// A Probe has about 130 KB of memory and, while it runs, four goroutines, six with the queue probe, a pipe,
// and two files of the kernel's open.
//
// # Testing
//
// In a bubble of testing/synctest ticks are exact and nothing is late, but the Read of an os.Pipe is not durably blocked
// and stops the bubble's clock. [Config.Pipe] replaces the pipe: io.Pipe does for a test in which nothing is to be late,
// and a pipe that holds back its bytes makes a process as late as the test wants.
package looplag
