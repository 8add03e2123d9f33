//go:build unix

package looplag_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/grove-go/grove/looplag"
)

// BenchmarkIdle compares what a probe costs an idle process with what a bare ticker of the same period does. An op is
// ten periods.
func BenchmarkIdle(b *testing.B) {
	for _, period := range []time.Duration{200 * ms, 20 * ms, 10 * ms, ms} {
		b.Run(fmt.Sprintf("impl=ticker/period=%v", period), func(b *testing.B) {
			ticker := time.NewTicker(period)
			defer ticker.Stop()
			measureCPU(b, func() {
				for range 10 {
					<-ticker.C
				}
			})
		})
		b.Run(fmt.Sprintf("impl=probe/period=%v", period), func(b *testing.B) {
			bytes := &everyFifth{arrived: make(chan struct{})}
			probe := looplag.New(looplag.Config{Interval: period, IdleInterval: period, Pipe: bytes.open})
			ctx, stop := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			wg.Go(func() { _ = probe.Run(ctx) })
			defer wg.Wait()
			defer stop()
			measureCPU(b, func() { <-bytes.arrived }) // every second tick sends one
		})
	}
}

// everyFifth is a pipe of the operating system that tells of every fifth byte that has arrived.
type everyFifth struct {
	*os.File
	n       int
	arrived chan struct{}
}

func (e *everyFifth) open() (io.ReadCloser, io.WriteCloser, error) {
	r, w, err := os.Pipe()
	e.File = r
	return e, w, err
}

func (e *everyFifth) Read(b []byte) (int, error) {
	n, err := e.File.Read(b)
	if e.n += n; e.n%5 == 0 {
		select {
		case e.arrived <- struct{}{}:
		default:
		}
	}
	return n, err
}

// measureCPU reports the processor time of the process per op and as a share of a processor.
func measureCPU(b *testing.B, wait func()) {
	wait()
	before, began := cpuTime(b), time.Now()
	for b.Loop() {
		wait()
	}
	used, elapsed := cpuTime(b)-before, time.Since(began)
	b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(100*float64(used)/float64(elapsed), "%-of-a-core")
}

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
