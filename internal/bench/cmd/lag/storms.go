//go:build unix

package main

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/grove-go/grove/looplag"
)

// A storm is a way to make a server late. It goes on until the process ends.
type storm struct {
	name    string
	queues  bool                                                  // run queues are the cause, so Net has to tell the wait
	slow    bool                                                  // a request waits so long that more than one in two seconds would wait for one another
	causes  []looplag.Cause                                       // what the Snapshot's has to be among; none only if hardly anybody is late
	inside  func()                                                // starts it in the server
	outside func(server *os.Process, done <-chan struct{})        // does it to the server
	figure  func(s looplag.Snapshot) (name string, value float64) // the Snapshot's own figure of it
}

var (
	saturated = []looplag.Cause{looplag.CauseCPUSaturated}
	blocked   = []looplag.Cause{looplag.CauseBlockingCalls, looplag.CauseNone}
)

var storms = []storm{
	{name: "idle", causes: []looplag.Cause{looplag.CauseNone}, figure: runQueue},
	{
		name: "64 × 100µs", queues: true, slow: true, causes: saturated, figure: runQueue,
		inside: func() { spread(64, func() { spin(100 * time.Microsecond); meet() }) },
	},
	{
		name: "8 × 5ms", queues: true, slow: true, causes: saturated, figure: runQueue,
		inside: func() { spread(8, func() { spin(5 * time.Millisecond); meet() }) },
	},
	{
		name: "64 × 250µs, yielding", queues: true, causes: saturated, figure: runQueue,
		inside: func() { spread(64, func() { spin(250 * time.Microsecond); runtime.Gosched() }) },
	},
	{
		name: "one endless on each", causes: saturated, figure: runQueue,
		inside: func() { spread(runtime.GOMAXPROCS(0), func() { spin(time.Hour) }) },
	},
	{
		// The world is stopped for microseconds, but the collector takes processors. If it leaves one, hardly anybody is
		// late, and if there is a cause it is those microseconds.
		name: "collections", inside: collect,
		causes: []looplag.Cause{looplag.CauseCPUSaturated, looplag.CauseGCSTW, looplag.CauseNone},
		figure: func(s looplag.Snapshot) (string, float64) { return "% of a processor in GCWork", share(s, s.GCWork) },
	},
	{
		name: "stopped world", causes: []looplag.Cause{looplag.CauseOtherSTW}, inside: stopTheWorld,
		figure: func(s looplag.Snapshot) (string, float64) {
			return "% of time in STW.Other", share(s, s.STW.Other.Total)
		},
	},
	{
		// On more than one processor requests may not wait at all.
		name: "blocking system calls", causes: blocked, figure: notInGo,
		inside: func() {
			spread(64, func() {
				spin(20 * time.Microsecond)
				ts := syscall.NsecToTimespec(int64(5 * time.Millisecond))
				syscall.Nanosleep(&ts, nil) //nolint:errcheck // an interrupted sleep is one, too
			})
		},
	},
	{
		name: "blocking cgo", causes: blocked, figure: notInGo,
		inside: func() { spread(64, func() { spin(20 * time.Microsecond); cgoSleep(5 * time.Millisecond) }) },
	},
	{
		name: "SIGSTOP, SIGCONT", causes: []looplag.Cause{looplag.CauseOSDelay}, outside: stopAndGo,
		figure: func(s looplag.Snapshot) (string, float64) { return "ms Timer.Max", millis(s.Timer.Max) },
	},
}

func runQueue(s looplag.Snapshot) (string, float64) { return "goroutines in RunQueue", s.RunQueue }

func notInGo(s looplag.Snapshot) (string, float64) { return "goroutines NotInGo", float64(s.NotInGo) }

// share is d as a percentage of the window.
func share(s looplag.Snapshot, d time.Duration) float64 { return 100 * float64(d) / float64(s.Window) }

// spread starts n goroutines that do the same again and again.
func spread(n int, what func()) {
	for range n {
		go func() {
			for {
				what()
			}
		}()
	}
}

func spin(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}

// meet waits for another goroutine, as a handler waits for the answer of a database.
func meet() {
	answer := make(chan struct{})
	go close(answer)
	<-answer
}

// collect collects a heap of many small objects again and again, and makes garbage.
func collect() {
	type node struct{ next *node }
	spread(1, func() {
		var live *node
		for range 2_000_000 {
			live = &node{live}
		}
		for range 50 {
			runtime.GC()
		}
		runtime.KeepAlive(live)
	})
}

// stopTheWorld stops it for the stacks of many goroutines, as a dump of all of them does.
func stopTheWorld() {
	var started sync.WaitGroup
	for range 5000 {
		started.Add(1)
		go func() { started.Done(); select {} }()
	}
	started.Wait()
	buf := make([]byte, 16<<20)
	spread(1, func() {
		runtime.Stack(buf, true)
		time.Sleep(20 * time.Millisecond)
	})
}
