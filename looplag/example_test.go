package looplag_test

import (
	"context"
	"errors"
	"fmt"
	"log"
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
