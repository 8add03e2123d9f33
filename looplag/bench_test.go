package looplag_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/grove-go/grove/looplag"
)

func BenchmarkSnapshot(b *testing.B) {
	b.Run("run=false", func(b *testing.B) {
		probe := looplag.New(looplag.Config{})
		b.ReportAllocs()
		for b.Loop() {
			probe.Snapshot()
		}
	})
	b.Run("run=true", func(b *testing.B) {
		probe := running(b)
		b.ReportAllocs()
		for b.Loop() {
			probe.Snapshot()
		}
	})
}

func BenchmarkOverdue(b *testing.B) {
	probe := running(b)
	b.ReportAllocs()
	for b.Loop() {
		probe.Overdue()
	}
}

// BenchmarkTurn is a Begin and an End.
func BenchmarkTurn(b *testing.B) {
	loop := looplag.New(looplag.Config{}).Watch("hub", time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		loop.Begin()
		loop.End()
	}
}

// BenchmarkGather is a report of a stuck loop among a thousand other goroutines, with the stacks of all: what is gathered
// while the world stands.
func BenchmarkGather(b *testing.B) {
	gather := looplag.New(looplag.Config{}).Gather(looplag.Rule{Stacks: true})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() { <-stop })
	}
	for b.Loop() {
		gather()
	}
	close(stop)
	wg.Wait()
}

// running is a probe that runs until the benchmark ends.
func running(b *testing.B) *looplag.Probe {
	probe := looplag.New(looplag.Config{})
	ctx, stop := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = probe.Run(ctx) })
	b.Cleanup(func() { stop(); wg.Wait() })
	for !probe.Snapshot().Timer.OK {
		runtime.Gosched()
	}
	return probe
}

// BenchmarkMetricsRead is what reading the runtime's measures is of a tick's cost.
func BenchmarkMetricsRead(b *testing.B) {
	read := func(b *testing.B, names ...string) {
		samples := make([]metrics.Sample, len(names))
		for i, name := range names {
			samples[i].Name = name
		}
		b.ReportAllocs()
		for b.Loop() {
			metrics.Read(samples)
		}
	}
	b.Run("what=latencies", func(b *testing.B) { read(b, "/sched/latencies:seconds") })
	b.Run("what=goroutines", func(b *testing.B) { read(b, "/sched/goroutines/runnable:goroutines") })
}

// BenchmarkTick is a tick without its timer and its byte.
func BenchmarkTick(b *testing.B) {
	for _, describes := range []bool{false, true} {
		b.Run(fmt.Sprintf("describes=%v", describes), func(b *testing.B) {
			next, tick, end := looplag.New(looplag.Config{}).Ticks(describes)
			defer end()
			next()
			tick() // orders a byte, which nobody sends
			b.ReportAllocs()
			for b.Loop() {
				next()
				tick()
			}
		})
	}
}

// BenchmarkOverload measures what the package comment tells, on as many processors as there are: 64 goroutines that compute for 100 µs and then wait for
// another one to answer. An op is a byte's way through the pipe.
func BenchmarkOverload(b *testing.B) {
	ctx, stop := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for ctx.Err() == nil {
				for began := time.Now(); time.Since(began) < 100*time.Microsecond; {
				}
				answer := make(chan struct{})
				go close(answer)
				<-answer
			}
		})
	}
	var canary []float64
	wg.Go(func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			canary = append(canary, float64(time.Since(<-ticker.C))/1e6)
			if ctx.Err() != nil {
				return
			}
		}
	})
	arrived := make(arrivals)
	probe := looplag.New(looplag.Config{Window: time.Hour, Pipe: arrived.open})
	wg.Go(func() { _ = probe.Run(ctx) })
	for b.Loop() {
		<-arrived
	}
	s := probe.Snapshot()
	stop()
	wg.Wait()
	slices.Sort(canary)
	b.ReportMetric(canary[len(canary)/2], "canary-ms")
	b.ReportMetric(float64(s.Timer.P50)/1e6, "timer-ms")
	b.ReportMetric(float64(s.Net.P50)/1e6, "net-ms")
	b.ReportMetric(s.RunQueue, "runnable")
}
