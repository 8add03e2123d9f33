package looplag_test

import (
	"context"
	"path"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

// breaches collects what a function given to OnBreach is told.
type breaches struct {
	mu  sync.Mutex
	all []looplag.Breach
}

func (b *breaches) add(breach looplag.Breach) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, breach)
}

// take returns what came since the last call.
func (b *breaches) take() []looplag.Breach {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.all
	b.all = nil
	return all
}

func TestALoopThatIsStuckIsReportedWithItsLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
		var got breaches
		probe.OnBreach(looplag.Rule{}, got.add)
		var line int
		var wg sync.WaitGroup
		wg.Go(func() {
			loop := probe.Watch("hub", 50*ms)
			defer loop.Close()
			loop.Begin()
			defer loop.End()
			_, _, line, _ = runtime.Caller(0)
			time.Sleep(time.Second)
		})
		sleep(60*ms - 1)
		require.Empty(t, got.take())
		sleep(1)
		reports := got.take()
		require.Len(t, reports, 1)
		b := reports[0]
		require.Equal(t, &looplag.LoopInfo{Name: "hub", Max: 50 * ms, Busy: 60 * ms}, b.Loop)
		require.False(t, b.Again)
		require.Equal(t, "breach_test.go", path.Base(b.File))
		require.Equal(t, line+1, b.Line)
		require.Contains(t, string(b.Stack), "time.Sleep")
		require.Contains(t, b.String(), `looplag: loop "hub" is stuck for 60ms in github.com/grove-go/grove/looplag_test.`)
		wg.Wait()
	})
}

func TestATurnIsReportedAgainWheneverItHasLastedTwiceAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
		var got breaches
		probe.OnBreach(looplag.Rule{}, got.add)
		loop := probe.Watch("hub", 50*ms)
		loop.Begin()
		sleep(time.Second)
		loop.End()
		sleep(time.Second)
		var busy []time.Duration
		for i, b := range got.take() {
			busy = append(busy, b.Loop.Busy)
			require.Equal(t, i > 0, b.Again)
		}
		require.Equal(t, []time.Duration{60 * ms, 130 * ms, 270 * ms, 550 * ms}, busy)
		loop.Close()
	})
}

func TestLagIsReportedOnceUntilItHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		probe := run(t, looplag.Config{}, pipe)
		var got breaches
		probe.OnBreach(looplag.Rule{Cooldown: 1}, got.add)
		sleep(3 * time.Second)
		require.Empty(t, got.take())
		pipe.hold.set(45 * ms)
		sleep(20 * time.Second)
		require.Len(t, got.take(), 1)
		pipe.hold.set(0)
		sleep(5 * time.Second)
		require.Empty(t, got.take())
		pipe.hold.set(45 * ms)
		sleep(20 * time.Second)
		require.Len(t, got.take(), 1)
	})
}

func TestRunWaitsForReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		probe := looplag.New(looplag.Config{Pipe: pipe.open})
		done := false
		probe.OnBreach(looplag.Rule{}, func(looplag.Breach) { time.Sleep(time.Minute); done = true })
		pipe.hold.set(time.Hour)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		require.ErrorIs(t, probe.Run(ctx), context.DeadlineExceeded)
		require.True(t, done)
	})
}
