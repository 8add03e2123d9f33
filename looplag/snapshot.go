package looplag

import "time"

// A Snapshot is what a [Probe] knows about the last [Config.Window]. It is a plain value: nothing changes it.
type Snapshot struct {
	// Window is the width of the stretch of time that the figures below are about. It is about Config.Window; less
	// when the probe is younger, more when nobody has looked for longer.
	Window time.Duration
	// Overdue is what [Probe.Overdue] returned when the snapshot was taken.
	Overdue time.Duration

	// Timer is how late timers fire, and so tickers, sleeps and context deadlines. It says little about requests: the
	// scheduler looks at timers before anything else.
	Timer Dist
	// Net is how long a request that arrives over the network waits until a goroutine that is blocked in a Read
	// runs again. It is the figure to act on.
	Net Dist
	// Queue is how long a goroutine that another one wakes waits in the run queue of that one's processor. It is
	// measured only with Config.Queue.
	Queue Dist
	// Sched is how long goroutines were runnable before they ran, from the runtime's own histogram, without waits
	// below 64 ns. The runtime samples one wait in eight; N is the number of samples. It does not see the time until the
	// runtime notices that a socket is ready or a timer due, nor a process that is stopped as a whole. Max is an upper
	// bound, at most a quarter too high.
	Sched Dist

	// RunQueue is the mean number of goroutines that waited for a processor: -1 where the runtime does not tell.
	RunQueue float64
	// RunQueueEstimated says that RunQueue is derived from the runtime's histogram and not counted, because Run does
	// not run or the runtime does not tell the count. It is then up to 1.4 times too high.
	RunQueueEstimated bool

	// STW is how long the world was stopped.
	STW STW
	// GCWork is the processor time, of all processors, that the garbage collector took besides; -1 where the runtime does
	// not tell. The runtime counts it when a collection ends.
	GCWork time.Duration
	// CPU is how far the cgroup's quota held the process back. It is measured only while Run runs.
	CPU CPU
	// Pressure is for how long a thread of the cgroup waited for a processor, OS for how long the process's threads ran and
	// waited. They are measured only while Run runs.
	Pressure Pressure
	OS       OS

	// Threads is the number of the runtime's threads, NotInGo that of goroutines in system calls and cgo, Runnable that
	// of goroutines waiting for a processor: -1 where the runtime does not tell.
	Threads, NotInGo, Runnable int
	// NewThreads and NewNotInGo are by how much Threads and NotInGo have grown since the window began. A runtime never gives
	// threads back, so those that blocking calls took are there to stay.
	NewThreads, NewNotInGo int
	Goroutines, GOMAXPROCS int

	// Cause is what took most of the time that was lost, [CauseNone] when less than a hundredth of the window was.
	Cause Cause
}

// A Dist describes a distribution of waits. For Timer, Net and Queue the quantiles are taken over time: P90 is what a request
// that arrives at a random moment waits at most with a probability of 90 %. They are off by at most an eighth.
type Dist struct {
	N             uint64 // number of observations; below 100 P99 says little
	P50, P90, P99 time.Duration
	Max           time.Duration
	OK            bool // false: nothing was measured, the other fields are zero
}

// STW says for how long the world was stopped, by kind.
type STW struct {
	GC    Pauses // by the garbage collector
	Other Pauses // by others: runtime.ReadMemStats, goroutine profiles, a change of GOMAXPROCS, …
}

// Pauses describes pauses of one kind, from the runtime's histogram.
type Pauses struct {
	N     uint64
	Total time.Duration // off by at most an eighth
	Max   time.Duration // an upper bound, at most a quarter too high
	OK    bool          // false: not measured, the other fields are zero
}

// CPU is what the kernel counted for the process's own cgroup. Limits of the groups above it are not seen.
type CPU struct {
	Periods          uint64        // periods of the quota in which the group wanted to run
	ThrottledPeriods uint64        // those in which it was held back
	Throttled        time.Duration // for how long, summed over the processors it was held back on
	OK               bool          // false: not measured, because there is no such group or nothing says so
}

// Pressure is the kernel's pressure stall information on processors: of the process's own cgroup, or of the whole machine
// where the group has none.
type Pressure struct {
	Some time.Duration // for how long at least one thread waited
	OK   bool          // false: not measured, because the kernel does not count it
}

// OS is what the operating system's scheduler counted for the process's threads.
type OS struct {
	Ran    time.Duration // processor time, summed over the threads
	Waited time.Duration // for how long they could have run, summed over the threads; throttling is included
	OK     bool          // false: not measured, because the kernel does not count it
}
