package looplag_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

const ms = time.Millisecond

// run runs a probe with a pipe of the bubble until the test ends.
func run(t *testing.T, cfg looplag.Config, p *pipe) *looplag.Probe {
	t.Helper()
	probe := probeOf(cfg, p)
	keepRunning(t, probe)
	return probe
}

// runDeaf is run without the runtime's measures: collections stop the world for real time, which may be a large share of
// a bubble's.
func runDeaf(t *testing.T, cfg looplag.Config, p *pipe) *looplag.Probe {
	t.Helper()
	probe := probeOf(cfg, p)
	probe.ForgetMetrics()
	keepRunning(t, probe)
	return probe
}

func probeOf(cfg looplag.Config, p *pipe) *looplag.Probe {
	cfg.Pipe = p.open
	if cfg.Root == nil {
		cfg.Root = fstest.MapFS{}
	}
	return looplag.New(cfg)
}

func keepRunning(t *testing.T, probe *looplag.Probe) {
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = probe.Run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait() })
	synctest.Wait()
}

// sleep lets the bubble's time pass by d and what is due then happen.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestTicksSlowDownWhileNothingIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 60 * ms}, newPipe())
		var ticks []time.Duration
		for now, seen := time.Duration(0), uint64(0); now < 260*ms; now += ms {
			if n := probe.Snapshot().Timer.N; n > seen {
				ticks, seen = append(ticks, now), n
			}
			sleep(ms)
		}
		require.Equal(t, []time.Duration{10 * ms, 30 * ms, 70 * ms, 130 * ms, 190 * ms, 250 * ms}, ticks)
	})
}

func TestEverySecondTickSendsAByteWhileNothingIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, pipe)
		sleep(100 * ms)
		require.Equal(t, uint64(10), probe.Snapshot().Timer.N)
		require.Equal(t, int64(5), pipe.written.Load())
		require.Equal(t, uint64(5), probe.Snapshot().Net.N)
	})
}

func TestBytesAreAtLeastTenMillisecondsApartWhileNothingIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		probe := run(t, looplag.Config{Interval: ms, IdleInterval: ms, Window: time.Second}, pipe)
		sleep(100 * ms)
		require.Equal(t, uint64(100), probe.Snapshot().Timer.N)
		require.Equal(t, int64(10), pipe.written.Load())
	})
}

func TestASnapshotIsOfTheLastTickOrUpToTenMillisecondsOldWhileNothingIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		probe := run(t, looplag.Config{Interval: ms, IdleInterval: ms, Window: time.Second}, pipe)
		var ticks []uint64
		for range 24 {
			sleep(ms)
			ticks = append(ticks, probe.Snapshot().Timer.N)
		}
		require.Equal(t, []uint64{0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 10}, ticks[:11])
		require.Equal(t, []uint64{20, 20, 20, 20, 20}, ticks[19:])
		pipe.hold.set(time.Hour)
		sleep(20 * ms) // a byte has been under way for some time
		for range 5 {
			before := probe.Snapshot().Timer.N
			sleep(ms)
			require.Equal(t, before+1, probe.Snapshot().Timer.N)
		}
	})
}

func TestTheQueueProbeTakesPartOnlyIfAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
		sleep(100 * ms)
		require.Zero(t, probe.Snapshot().Queue)
	})
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms, Queue: true}, newPipe())
		sleep(100 * ms)
		s := probe.Snapshot()
		require.Equal(t, looplag.Dist{N: 5, OK: true}, s.Queue)
		require.Equal(t, s.Net, s.Queue)
	})
}

func TestTicksAreFastWhileBytesAreLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		pipe.hold.set(15 * ms)
		probe := run(t, looplag.Config{IdleInterval: 1000 * ms, Window: time.Second}, pipe)
		// Sent at 10 ms; its age is known from the tick at 30 ms on, from when on there is a tick every 10 ms: one
		// that finds the byte gone sends the next.
		sleep(100 * ms)
		require.Equal(t, uint64(9), probe.Snapshot().Timer.N)
		require.Equal(t, int64(5), pipe.written.Load())
		// On time again, they slow down.
		pipe.hold.set(0)
		sleep(900 * ms)
		require.Less(t, probe.Snapshot().Timer.N, uint64(20))
	})
}

func TestNetIsHowLongBytesAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		pipe.hold.set(45 * ms)
		probe := run(t, looplag.Config{}, pipe)
		sleep(2500 * ms)
		s := probe.Snapshot()
		require.Equal(t, 45*ms, s.Net.Max)
		require.InEpsilon(t, 45*ms, s.Net.P50, 0.125)
		require.InEpsilon(t, 45*ms, s.Net.P99, 0.125)
		require.Equal(t, looplag.Dist{N: s.Timer.N, OK: true}, s.Timer, "no timer is late")
	})
}

func TestAByteUnderWayCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		pipe.hold.set(time.Hour)
		probe := run(t, looplag.Config{}, pipe)
		sleep(1010 * ms) // sent by the tick at 10 ms
		s := probe.Snapshot()
		require.Equal(t, uint64(1), s.Net.N)
		require.Equal(t, 1000*ms, s.Net.Max)
		require.InEpsilon(t, 1000*ms, s.Net.P50, 0.125)
		sleep(5 * ms)
		s = probe.Snapshot()
		require.Equal(t, 1000*ms, s.Net.Max, "as of the last tick")
		require.Equal(t, 1005*ms, s.Overdue, "as of now")
	})
}

func TestOverdueIsTheAgeOfTheByteUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		pipe.hold.set(500 * ms)
		probe := run(t, looplag.Config{}, pipe)
		require.Zero(t, probe.Overdue())
		sleep(10 * ms)
		require.Zero(t, probe.Overdue())
		sleep(ms)
		require.Equal(t, ms, probe.Overdue())
		sleep(498 * ms)
		require.Equal(t, 499*ms, probe.Overdue())
		pipe.hold.set(0)
		sleep(ms)
		require.Zero(t, probe.Overdue())
	})
}

func TestOverdueGrowsWhileTheProbeIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := looplag.New(looplag.Config{Root: fstest.MapFS{}})
		next, tick, end := probe.Ticks(false)
		require.Equal(t, 10*ms, next())
		time.Sleep(10 * ms)
		require.Zero(t, probe.Overdue())
		time.Sleep(time.Minute)
		require.Equal(t, time.Minute, probe.Overdue())
		require.Equal(t, time.Minute, probe.Snapshot().Overdue)
		tick()
		time.Sleep(time.Second)
		require.Equal(t, time.Minute+time.Second, probe.Overdue(), "the tick is at work still")
		require.Equal(t, 10*ms-time.Second, next())
		require.Equal(t, time.Second-10*ms, probe.Overdue(), "the next one is due an interval after this one began")
		probe.Leave()
		require.Equal(t, time.Second-10*ms, probe.Overdue(), "though a byte has just been sent")
		end()
		require.Zero(t, probe.Overdue())
	})
}

func TestAStallIsBackFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := looplag.New(looplag.Config{Root: fstest.MapFS{}})
		next, tick, end := probe.Ticks(false)
		defer end()
		next()
		time.Sleep(10*ms + 1000*ms)
		tick()
		// A timer due at 10 ms was 1,000 ms late, one due at 1,009 ms was 1 ms late, and in between one for each
		// moment; for the 10 ms before that it is the only sample.
		s := probe.Snapshot()
		require.Equal(t, 1010*ms, s.Window)
		require.Equal(t, uint64(1), s.Timer.N)
		require.Equal(t, 1000*ms, s.Timer.Max)
		require.InEpsilon(t, 505*ms, s.Timer.P50, 0.125)
		require.InEpsilon(t, 909*ms, s.Timer.P90, 0.125)
	})
}

func TestAByteHeldBackByALateTickIsAsLateAsTheTick(t *testing.T) {
	_, noteByte, advance := looplag.New(looplag.Config{}).Notes()
	noteByte(0, 10*ms, 1010*ms, 1011*ms)
	s := advance(1011 * ms)
	require.Equal(t, 1000*ms, s.Net.Max)
	require.InEpsilon(t, 505*ms, s.Net.P50, 0.125)

	// It does not wait twice: had it been sent when it was due, it would have been under way meanwhile.
	_, noteByte, advance = looplag.New(looplag.Config{}).Notes()
	noteByte(0, 10*ms, 30*ms, 80*ms)
	s = advance(80 * ms)
	require.Equal(t, 50*ms, s.Net.Max)
	require.InEpsilon(t, 50*ms, s.Net.P50, 0.125)
}

func TestAByteThatCouldNotBeSentYetIsAsLateAsItsTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := looplag.New(looplag.Config{Root: fstest.MapFS{}})
		next, tick, end := probe.Ticks(false) // and nobody who sends
		defer end()
		next()
		time.Sleep(10 * ms)
		tick()
		next()
		time.Sleep(50 * ms)
		tick()
		require.Equal(t, 50*ms, probe.Snapshot().Net.Max)
	})
}

func TestALateMomentIsLostOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		pipe.hold.set(20*ms + 1)
		probe := runDeaf(t, looplag.Config{Interval: ms, IdleInterval: ms}, pipe)
		sleep(2 * ms)
		pipe.hold.set(0)
		sleep(2300 * ms)
		// Twenty ticks saw the one byte late, but for 20 ms in all, not for 1 + 2 + … + 20.
		s := probe.Snapshot()
		require.Equal(t, 20*ms+1, s.Net.Max)
		require.Equal(t, looplag.CauseNone, s.Cause)
	})
}

func TestTheResolutionOfTimersHoldsNothingBack(t *testing.T) {
	_, noteByte, advance := looplag.New(looplag.Config{}).Notes()
	noteByte(0, 10*ms, 12*ms-1, 12*ms)
	require.Equal(t, time.Duration(1), advance(12*ms).Net.Max)

	_, noteByte, advance = looplag.New(looplag.Config{}).Notes()
	noteByte(0, 10*ms, 12*ms, 12*ms+1)
	require.Equal(t, 2*ms, advance(12*ms+1).Net.Max)
}

func TestTheWaitBeforeAGapIsPartOfTheWindowThatTheGapReachesInto(t *testing.T) {
	_, noteByte, advance := looplag.New(looplag.Config{}).Notes()
	noteByte(0, 0, 0, 50*ms)
	for now := time.Duration(0); now <= 3*time.Second; now += 250 * ms {
		advance(now + 50*ms)
	}
	noteByte(50*ms, 3100*ms, 3100*ms, 3100*ms+1)
	s := advance(3100*ms + 1)
	require.Equal(t, 50*ms, s.Net.Max)
	require.InEpsilon(t, 50*ms, s.Net.P90, 0.125)
}

func TestAWakeUpThatHasNotRunCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := looplag.New(looplag.Config{Queue: true, Root: fstest.MapFS{}})
		next, tick, end := probe.Ticks(true) // and nobody who is woken
		defer end()
		next()
		time.Sleep(10 * ms)
		tick()
		next()
		time.Sleep(20 * ms)
		tick()
		require.Equal(t, 20*ms, probe.Snapshot().Queue.Max)
	})
}

func TestTheNextRunKnowsNothingOfTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := 45 * ms
		probe := looplag.New(looplag.Config{Root: fstest.MapFS{}, Pipe: func() (io.ReadCloser, io.WriteCloser, error) {
			pipe := newPipe()
			pipe.hold.set(hold)
			return pipe.open()
		}})
		probe.ForgetMetrics()
		for _, want := range []struct {
			wait  time.Duration
			cause looplag.Cause
		}{{45 * ms, looplag.CauseUnknown}, {0, looplag.CauseNone}} {
			hold = want.wait
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			var wg sync.WaitGroup
			wg.Go(func() { _ = probe.Run(ctx) })
			sleep(time.Second - 1)
			s := probe.Snapshot()
			require.Equal(t, want.wait, s.Net.Max)
			require.Equal(t, want.cause, s.Cause)
			wg.Wait()
			stop()
			require.Equal(t, looplag.CauseNone, probe.Snapshot().Cause)
		}
	})
}

func TestNewThreadsAreThoseOfTheWindow(t *testing.T) {
	s := looplag.New(looplag.Config{}).Snapshot()
	require.Less(t, s.NewThreads, s.Threads)
}

func TestWaitsFallEvenlyThroughAStall(t *testing.T) {
	noteTimer, _, advance := looplag.New(looplag.Config{}).Notes()
	const stall = 1<<30 + 1 // ends in the first nanosecond of a bucket
	noteTimer(0, 0, stall)
	d := advance(stall).Timer
	for q, got := range map[float64]time.Duration{0.50: d.P50, 0.90: d.P90, 0.99: d.P99, 1: d.Max} {
		require.InEpsilon(t, q*stall, float64(got), 1e-6)
	}
}

func TestWaitsOfAnyLengthCount(t *testing.T) {
	for _, wait := range []time.Duration{1, time.Microsecond, time.Minute, 1 << 37, 1<<38 - 1, time.Hour, 1 << 60} {
		noteTimer, noteByte, advance := looplag.New(looplag.Config{}).Notes()
		noteTimer(0, 0, wait)
		noteByte(0, 0, 0, wait)
		s := advance(wait)
		require.Equal(t, wait, s.Timer.Max)
		require.Equal(t, wait, s.Net.Max)
		require.LessOrEqual(t, s.Net.P99, wait)
		require.GreaterOrEqual(t, s.Net.P50, min(wait, 1<<37)*7/8-1024)
	}
}

func TestQuantilesAreTakenOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		probe := run(t, looplag.Config{}, pipe)
		sleep(1800 * ms)
		pipe.hold.set(25 * ms)
		sleep(700 * ms)
		// Most of the bytes were late, because they are sent more often then; most of the time nothing was.
		s := probe.Snapshot()
		require.Zero(t, s.Net.P50/ms)
		require.InEpsilon(t, 25*ms, s.Net.P90, 0.125)
		require.Equal(t, uint64(5+16), s.Net.N)
	})
}

func TestTheWindowForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		pipe.hold.set(35 * ms)
		probe := run(t, looplag.Config{}, pipe)
		sleep(100 * ms)
		pipe.hold.set(0)
		sleep(2300 * ms)
		require.Equal(t, 35*ms, probe.Snapshot().Net.Max)
		sleep(600 * ms)
		require.Zero(t, probe.Snapshot().Net.Max)
	})
}

func TestWindowIsTheRealWidth(t *testing.T) {
	// It is exact to a slot, a tenth.
	for window, want := range map[time.Duration]time.Duration{100 * ms: 100 * ms, 100*ms + 1: 110 * ms, 97 * ms: 100 * ms} {
		synctest.Test(t, func(t *testing.T) {
			probe := run(t, looplag.Config{IdleInterval: 10 * ms, Window: window}, newPipe())
			for now := time.Duration(0); now < 500*ms; now += 10 * ms {
				require.Equal(t, min(now, want), probe.Snapshot().Window)
				sleep(10 * ms)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{Interval: ms, IdleInterval: ms, Window: 5 * ms}, newPipe())
		for now := time.Duration(0); now < 50*ms; now += ms {
			require.Equal(t, min(now, 5*ms), probe.Snapshot().Window)
			sleep(ms)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		probe := looplag.New(looplag.Config{})
		require.Zero(t, probe.Snapshot().Window)
		sleep(time.Minute)
		require.Equal(t, time.Minute, probe.Snapshot().Window, "nobody looked in between")
		sleep(15 * time.Second)
		require.Equal(t, 15*time.Second, probe.Snapshot().Window)
		for range 100 {
			sleep(50 * ms)
			probe.Snapshot()
		}
		require.Equal(t, 2500*ms, probe.Snapshot().Window)
	})
}

func TestWithoutRunOnlyTheRuntimeTells(t *testing.T) {
	probe := looplag.New(looplag.Config{})
	check := func() {
		s := probe.Snapshot()
		require.Zero(t, s.Timer)
		require.Zero(t, s.Net)
		require.Zero(t, s.CPU)
		require.Zero(t, s.Overdue)
		require.True(t, s.RunQueueEstimated)
		require.True(t, s.STW.GC.OK)
		require.True(t, s.STW.Other.OK)
		require.Positive(t, s.Goroutines)
		require.Positive(t, s.Threads)
		require.Positive(t, s.GOMAXPROCS)
		require.GreaterOrEqual(t, s.NotInGo, 0)
		require.GreaterOrEqual(t, s.Runnable, 0)
	}
	check()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	require.ErrorIs(t, probe.Run(ctx), context.Canceled)
	check()
}

func TestRunCanBeRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		pipe.hold.set(95 * ms)
		probe := looplag.New(looplag.Config{Pipe: func() (io.ReadCloser, io.WriteCloser, error) {
			pipe.closed = make(chan struct{})
			return pipe.open()
		}})
		for range 2 {
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			var wg sync.WaitGroup
			wg.Go(func() { _ = probe.Run(ctx) })
			synctest.Wait()
			require.Zero(t, probe.Overdue(), "though a byte was under way when the last Run ended")
			sleep(999 * ms)
			s := probe.Snapshot()
			require.Equal(t, 95*ms, s.Net.Max)
			require.Equal(t, 990*ms, s.Window, "of this Run alone")
			wg.Wait()
			stop()
			require.Zero(t, probe.Snapshot().Net)
			require.Zero(t, probe.Overdue())
		}
		require.Equal(t, int64(4), pipe.closes.Load())
	})
}

func TestIOPipeServesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := looplag.New(looplag.Config{Pipe: func() (io.ReadCloser, io.WriteCloser, error) {
			r, w := io.Pipe()
			return r, w, nil
		}})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var wg sync.WaitGroup
		wg.Go(func() { _ = probe.Run(ctx) })
		sleep(time.Minute - 1)
		require.Equal(t, looplag.Dist{N: probe.Snapshot().Net.N, OK: true}, probe.Snapshot().Net)
		wg.Wait()
	})
}

func TestGOMAXPROCSIsReadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
		sleep(10 * ms)
		require.Equal(t, 3, probe.Snapshot().GOMAXPROCS)
		runtime.GOMAXPROCS(5)
		sleep(10 * ms)
		require.Equal(t, 5, probe.Snapshot().GOMAXPROCS)
	})
}

func TestRunReturnsTheCause(t *testing.T) {
	why := errors.New("server closed")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(why)
	require.Equal(t, why, looplag.New(looplag.Config{}).Run(ctx))
}

func TestRunReturnsWhyThereIsNoPipe(t *testing.T) {
	why := errors.New("too many open files")
	probe := looplag.New(looplag.Config{
		Pipe: func() (io.ReadCloser, io.WriteCloser, error) { return nil, nil, why },
	})
	for range 2 {
		err := probe.Run(t.Context())
		require.ErrorIs(t, err, why)
		require.EqualError(t, err, "looplag: net probe: too many open files")
	}
}

func TestRunReturnsWhyThePipeBroke(t *testing.T) {
	why := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		pipe.readErr = why
		err := looplag.New(looplag.Config{Pipe: pipe.open}).Run(t.Context())
		require.ErrorIs(t, err, why)
		require.EqualError(t, err, "looplag: net probe: read: broken")
		require.Equal(t, int64(2), pipe.closes.Load())

		pipe = newPipe()
		pipe.writeErr = why
		err = looplag.New(looplag.Config{Pipe: pipe.open}).Run(t.Context())
		require.ErrorIs(t, err, why)
		require.EqualError(t, err, "looplag: net probe: write: broken")
		require.Equal(t, int64(2), pipe.closes.Load())
	})
}

func TestRunPanicsBesideARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{}, newPipe())
		require.PanicsWithValue(t, "looplag: Run called while the probe runs", func() { _ = probe.Run(t.Context()) })
		sleep(10 * ms)
		require.Equal(t, uint64(1), probe.Snapshot().Timer.N, "the first Run goes on")
	})
}

func TestNewPanicsOutOfBounds(t *testing.T) {
	for want, cfg := range map[string]looplag.Config{
		"looplag: Config.Interval is -1s, must be at least 1ms":         {Interval: -time.Second},
		"looplag: Config.Interval is 999µs, must be at least 1ms":       {Interval: 999 * time.Microsecond},
		"looplag: Config.IdleInterval is 9ms, must be at least 10ms":    {IdleInterval: 9 * ms},
		"looplag: Config.Window is 9ms, must be at least 10ms":          {Window: 9 * ms},
		"looplag: Config.Window is -1s, must be at least 10ms":          {Window: -time.Second},
		"looplag: Config.Window is 249ms, must be at least 250ms":       {IdleInterval: 250 * ms, Window: 249 * ms},
		"looplag: Config.Window is 1s, must be at least 1m0s":           {Interval: time.Minute, Window: time.Second},
		"looplag: Config.IdleInterval is 200ms, must be at least 300ms": {Interval: 300 * ms, IdleInterval: 200 * ms},
	} {
		require.PanicsWithValue(t, want, func() { looplag.New(cfg) })
	}
	require.NotPanics(t, func() { looplag.New(looplag.Config{Interval: time.Hour}) })
	require.NotPanics(t, func() { looplag.New(looplag.Config{Window: 10 * ms}) })
}

func TestAProbeThatNewHasNotMadePanics(t *testing.T) {
	const want = "looplag: a Probe that New has not made"
	require.PanicsWithValue(t, want, func() { _ = new(looplag.Probe).Run(t.Context()) })
	require.PanicsWithValue(t, want, func() { new(looplag.Probe).Snapshot() })
}

func TestSnapshotAllocatesNothing(t *testing.T) {
	probe := looplag.New(looplag.Config{})
	require.Zero(t, testing.AllocsPerRun(1000, func() { probe.Snapshot() }), "without Run")

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = probe.Run(ctx) })
	for !probe.Snapshot().Timer.OK {
		runtime.Gosched()
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() { probe.Snapshot() }), "with Run")
	require.Zero(t, testing.AllocsPerRun(1000, func() { probe.Overdue() }))
	stop()
	wg.Wait()
}

func TestSnapshotCanBeTakenByMany(t *testing.T) {
	probe := looplag.New(looplag.Config{Interval: ms, IdleInterval: ms, Window: 10 * ms})
	ctx, stop := context.WithCancel(t.Context())
	var runs, readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 2000 {
				s := probe.Snapshot()
				assertOrdered(t, s.Timer)
				assertOrdered(t, s.Net)
				assertOrdered(t, s.Sched)
			}
		})
	}
	runs.Go(func() { _ = probe.Run(ctx) })
	readers.Wait()
	stop()
	runs.Wait()
}

// assertOrdered fails the test, from any goroutine, if d contradicts itself.
func assertOrdered(t *testing.T, d looplag.Dist) {
	if d.P50 < 0 || d.P50 > d.P90 || d.P90 > d.P99 || d.P99 > d.Max || d.OK != (d.N > 0) {
		t.Errorf("not a distribution: %+v", d)
	}
}

func TestUnknownMetricsAreNotMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := func(s looplag.Snapshot) {
			require.Zero(t, s.Sched)
			require.Zero(t, s.STW)
			require.Equal(t, []int{-1, -1, -1}, []int{s.Threads, s.NotInGo, s.Runnable})
			require.Equal(t, -1.0, s.RunQueue)
			require.Equal(t, time.Duration(-1), s.GCWork)
			require.True(t, s.RunQueueEstimated)
			require.Positive(t, s.Goroutines)
		}
		pipe := newPipe()
		pipe.hold.set(45 * ms)
		probe := looplag.New(looplag.Config{Pipe: pipe.open})
		probe.ForgetMetrics()
		check(probe.Snapshot())
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { _ = probe.Run(ctx) }()
		sleep(time.Second)
		s := probe.Snapshot()
		check(s)
		require.Equal(t, 45*ms, s.Net.Max)
		require.Equal(t, looplag.CauseUnknown, s.Cause)
		stop()
		synctest.Wait()
	})
}
