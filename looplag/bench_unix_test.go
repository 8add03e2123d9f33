//go:build unix

package looplag_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/grove-go/grove/looplag"
)

// BenchmarkIdle compares what a probe costs an idle process with what a bare ticker of the same period does: at the
// default while idle, and of probes that always tick at that period. An op is a second or twenty periods of each, one
// right after the other, because what it costs to wake a thread changes from minute to minute.
func BenchmarkIdle(b *testing.B) {
	for _, period := range []time.Duration{250 * ms, 20 * ms, 10 * ms, ms} {
		cfg := looplag.Config{Interval: period, IdleInterval: period}
		if period == 250*ms {
			cfg = looplag.Config{}
		}
		b.Run(fmt.Sprintf("period=%v", period), func(b *testing.B) {
			var ticker, probe, elapsed time.Duration
			for b.Loop() {
				stretch := max(time.Second, 20*period)
				elapsed += stretch
				ticker += cpuBeside(b, 0, stretch, func(ctx context.Context) {
					ticker := time.NewTicker(period)
					defer ticker.Stop()
					for ctx.Err() == nil {
						<-ticker.C
					}
				})
				// A young probe touches new memory until its window is full, and ticks more often at first.
				probe += cpuBeside(b, 3*time.Second, stretch, func(ctx context.Context) { _ = looplag.New(cfg).Run(ctx) })
			}
			b.ReportMetric(100*float64(ticker)/float64(elapsed), "ticker-%-of-a-core")
			b.ReportMetric(100*float64(probe)/float64(elapsed), "probe-%-of-a-core")
			b.ReportMetric(float64(probe)/float64(ticker), "probe/ticker")
		})
	}
}

// cpuBeside is the processor time of the process in a stretch of time that begins when run has run for as long as settle.
func cpuBeside(b *testing.B, settle, stretch time.Duration, run func(context.Context)) time.Duration {
	ctx, stop := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() { run(ctx) })
	defer wg.Wait()
	defer stop()
	time.Sleep(settle)
	before := cpuTime(b)
	time.Sleep(stretch)
	return cpuTime(b) - before
}

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
