package looplag_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"testing/fstest"
	"time"

	"github.com/grove-go/grove/looplag"
)

func ExampleProbe_Run() {
	probe := looplag.New(looplag.Config{})
	ctx, stop := context.WithCancelCause(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { fmt.Println("probe:", probe.Run(ctx)) })

	for !probe.Snapshot().Net.OK { // until the first byte
		runtime.Gosched()
	}
	s := probe.Snapshot()
	fmt.Println("in order:", s.Net.P50 <= s.Net.P99 && s.Net.P99 <= s.Net.Max)
	fmt.Println("run queue counted:", !s.RunQueueEstimated)

	stop(errors.New("the server has closed"))
	wg.Wait()
	// Output:
	// in order: true
	// run queue counted: true
	// probe: the server has closed
}

// Without Run a Snapshot has what the runtime measures by itself.
func ExampleProbe_Snapshot() {
	probe := looplag.New(looplag.Config{})
	runtime.GC()
	s := probe.Snapshot()
	fmt.Println("net measured:", s.Net.OK)
	fmt.Println("the collector stopped the world:", s.STW.GC.N >= 2, s.STW.GC.Total > 0)
	fmt.Println("run queue estimated:", s.RunQueueEstimated)
	// Output:
	// net measured: false
	// the collector stopped the world: true true
	// run queue estimated: true
}

// Root makes a Probe read another machine's cgroup, and Pipe what arrives when: both are for tests.
func ExampleConfig() {
	probe := looplag.New(looplag.Config{
		Interval: time.Millisecond,       // while something is late
		Window:   500 * time.Millisecond, // forget soon
		Root:     fstest.MapFS{},         // in no cgroup
	})
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = probe.Run(ctx) })
	fmt.Println("throttling measured:", probe.Snapshot().CPU.OK)
	stop()
	wg.Wait()
	// Output:
	// throttling measured: false
}

// A turn that lasts too long is reported while it lasts, with the line of code it is at.
func ExampleProbe_Watch() {
	probe := looplag.New(looplag.Config{Interval: time.Millisecond, IdleInterval: time.Millisecond})
	reported := make(chan struct{})
	probe.OnBreach(looplag.Rule{Lag: time.Hour, Stall: time.Hour}, func(b looplag.Breach) {
		fmt.Printf("%s is stuck in %s of %s\n", b.Loop.Name, path.Ext(b.Func)[1:], path.Base(b.File))
		close(reported)
	})
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = probe.Run(ctx) })

	loop := probe.Watch("hub", 20*time.Millisecond)
	loop.Begin()
	wait(reported) // an event that is not handled in time
	loop.End()
	loop.Close()
	stop()
	wg.Wait()
	// Output: hub is stuck in wait of example_test.go
}

//go:noinline
func wait(reported chan struct{}) { <-reported }

// What is a breach, and what is to be found out about it, is up to the rule.
func ExampleProbe_OnBreach() {
	probe := looplag.New(looplag.Config{})
	stop := probe.OnBreach(looplag.Rule{
		Lag:     20 * time.Millisecond,  // nine tenths of the time requests may wait as long
		Stacks:  true,                   // of all goroutines
		Profile: 500 * time.Millisecond, // of the processors
	}, func(b looplag.Breach) {
		log.Print(b)
		_ = os.WriteFile("lag.pprof", b.Profile, 0o600)
	})
	defer stop()
	// go probe.Run(ctx)
}

// Loops tells of each loop that is watched how busy it is, without Run, too.
func ExampleProbe_Loops() {
	probe := looplag.New(looplag.Config{})
	loop := probe.Watch("hub", time.Minute)
	defer loop.Close()
	for range 3 {
		loop.Begin()
		loop.End()
	}
	for _, info := range probe.Loops() {
		fmt.Println(info.Name, info.Max, info.Turns, info.Late)
	}
	// Output: hub 1m0s 3 0
}

func ExampleCause() {
	fmt.Println(looplag.CauseCPUSaturated)
	// Output: cpu_saturated
}

// A ticker that measures its own lateness measures the wrong thing.
func Example_canary() {
	var lag atomic.Int64
	for due := range time.Tick(20 * time.Millisecond) {
		lag.Store(int64(time.Since(due)))
	}
}

func Example() {
	ctx := context.Background()
	probe := looplag.New(looplag.Config{})
	go probe.Run(ctx)
	// ...
	s := probe.Snapshot()
	log.Printf("requests wait for %v (p50), %v (p99): %v", s.Net.P50, s.Net.P99, s.Cause)
}
