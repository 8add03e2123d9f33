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
// about ten periods.
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
			bytes := &everyNth{every: 5, arrived: make(chan struct{})}
			if period < 10*ms {
				bytes.every = 1 // bytes are at least 10 ms apart
			}
			probe := looplag.New(looplag.Config{Interval: period, IdleInterval: period, Pipe: bytes.open})
			ctx, stop := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			wg.Go(func() { _ = probe.Run(ctx) })
			defer wg.Wait()
			defer stop()
			measureCPU(b, func() { <-bytes.arrived }) // otherwise every second tick sends one
		})
	}
}

// everyNth is a pipe of the operating system that tells of one in every bytes that have arrived.
type everyNth struct {
	*os.File
	every   int
	n       int
	arrived chan struct{}
}

func (e *everyNth) open() (io.ReadCloser, io.WriteCloser, error) {
	r, w, err := os.Pipe()
	e.File = r
	return e, w, err
}

func (e *everyNth) Read(b []byte) (int, error) {
	n, err := e.File.Read(b)
	if e.n += n; e.n%e.every == 0 {
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
