package looplag_test

import (
	"context"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

// arrivals is a pipe of the operating system that tells of bytes that have arrived.
type arrivals chan struct{}

func (a arrivals) open() (io.ReadCloser, io.WriteCloser, error) {
	r, w, err := os.Pipe()
	return telling{r, a}, w, err
}

type telling struct {
	*os.File
	arrivals
}

func (r telling) Read(b []byte) (int, error) {
	n, err := r.File.Read(b)
	if n > 0 {
		select {
		case r.arrivals <- struct{}{}:
		default:
		}
	}
	return n, err
}

// hogs starts n goroutines that take turns to compute for the given time, and returns how to end them.
func hogs(n int, slice time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				for began := time.Now(); time.Since(began) < slice; {
				}
				runtime.Gosched()
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// Each byte waits for a turn of all the other goroutines, each timer for the end of one turn at most. A turn is at
// least a slice long but has no upper bound on a machine that does other things too, so what is compared is not the two
// delays but how often each of them passed: while one byte is under way, 16 ms or more, a timer of 1 ms fires again and
// again.
func TestBytesWaitForAllWhileTimersWaitForOne(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector the runtime queues goroutines in random order, timers' too")
	}
	const (
		n     = 64
		slice = 250 * time.Microsecond
		bytes = 12
	)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer hogs(n, slice)()
	arrived := make(arrivals, bytes)
	probe := looplag.New(looplag.Config{
		Interval: ms, IdleInterval: ms, Window: time.Hour,
		Queue: true, Pipe: arrived.open, Root: fstest.MapFS{},
	})
	observer := looplag.New(looplag.Config{Window: time.Hour})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = probe.Run(ctx) })
	for range bytes {
		<-arrived
	}
	s, estimate := probe.Snapshot(), observer.Snapshot()
	stop()
	wg.Wait()

	require.Greater(t, s.Net.P50, n*slice/2)
	require.Greater(t, s.Queue.P50, n*slice/2)
	require.Greater(t, s.Timer.N, 4*s.Net.N)
	require.InDelta(t, n, s.RunQueue, 8, "one runs; six goroutines of the probe and two of the test may wait, too")
	require.Equal(t, looplag.CauseCPUSaturated, s.Cause)

	// Without Run, the same is concluded from some hundred waits that the runtime has sampled.
	require.True(t, estimate.RunQueueEstimated)
	require.Greater(t, estimate.RunQueue, n/4.0)
	require.Less(t, estimate.RunQueue, n*4.0)
	require.Equal(t, looplag.CauseCPUSaturated, estimate.Cause)
}
