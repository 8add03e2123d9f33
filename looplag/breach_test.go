package looplag_test

import (
	"context"
	"io"
	"path"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"sync"
	"testing"
	"testing/fstest"
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

func TestTheNextRunReportsLagAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pipe *pipe
		probe := looplag.New(looplag.Config{Pipe: func() (io.ReadCloser, io.WriteCloser, error) {
			pipe = newPipe()
			pipe.hold.set(time.Hour)
			return pipe.open()
		}})
		var got breaches
		probe.OnBreach(looplag.Rule{Cooldown: 1}, got.add)
		for range 2 {
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			require.ErrorIs(t, probe.Run(ctx), context.DeadlineExceeded)
			stop()
			require.Len(t, got.take(), 1)
		}
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

func TestTheFunctionGetsTheEvidenceThatTheRuleAsksFor(t *testing.T) {
	recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
	require.NoError(t, recorder.Start())
	defer recorder.Stop()
	probe := looplag.New(looplag.Config{Interval: ms, IdleInterval: ms, Root: fstest.MapFS{}})
	reports := make(chan looplag.Breach)
	probe.OnBreach(looplag.Rule{
		Lag: time.Hour, Stall: time.Hour, Stacks: true, Recorder: recorder, Profile: 10 * ms,
	}, func(b looplag.Breach) { reports <- b })
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = probe.Run(ctx) })
	loop := probe.Watch("hub", ms)
	loop.Begin()
	var b looplag.Breach
	pprof.Do(ctx, pprof.Labels("task", "wait-for-report"), func(context.Context) { b = <-reports })
	loop.End()
	stop()
	go func() {
		for range reports { // the turn may have been reported again
		}
	}()
	wg.Wait()
	close(reports)

	require.NoError(t, b.Missing)
	require.Contains(t, string(b.Stacks), `"task":"wait-for-report"`)
	require.Contains(t, string(b.Trace), "go 1.")
	require.Equal(t, "\x1f\x8b", string(b.Profile[:2]), "a gzip file")
	require.Equal(t, "breach_test.go", path.Base(b.File))
}

func TestMissingSaysWhatEvidenceThereIsNot(t *testing.T) {
	probe := looplag.New(looplag.Config{Interval: ms, IdleInterval: ms, Root: fstest.MapFS{}})
	reports := make(chan looplag.Breach, 100)
	probe.OnBreach(looplag.Rule{
		Recorder: trace.NewFlightRecorder(trace.FlightRecorderConfig{}), // which was not started
		Profile:  10 * ms,
	}, func(b looplag.Breach) { reports <- b })
	require.NoError(t, pprof.StartCPUProfile(io.Discard)) // of which there can be one
	defer pprof.StopCPUProfile()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = probe.Run(ctx) })
	loop := probe.Watch("hub", ms)
	loop.Begin()
	b := <-reports
	loop.End()
	stop()
	wg.Wait()
	require.ErrorContains(t, b.Missing, "looplag: flight recorder: ")
	require.ErrorContains(t, b.Missing, "looplag: profile: ")
	require.Empty(t, b.Trace)
	require.Empty(t, b.Profile)
}

func TestTheProbesOwnPausesCountNeitherAsPausesNorAsLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, pipe)
		before := probe.Snapshot().STW.Other
		gathered := 0
		probe.OnBreach(looplag.Rule{Cooldown: 1, Stall: 20 * ms, Stacks: true}, func(looplag.Breach) { gathered++ })
		for range 10 {
			pipe.hold.set(25 * ms)
			sleep(30 * ms)
			pipe.hold.set(0)
			sleep(30 * ms)
		}
		require.Greater(t, gathered, 4)
		require.Equal(t, before, probe.Snapshot().STW.Other)
		// Those of others count again.
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		sleep(20 * ms)
		require.Greater(t, probe.Snapshot().STW.Other.N, before.N)
	})
}

func TestWhatIsLateWhileEvidenceIsGatheredHasNoCauseAndBreaksNoRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		pipe.hold.set(time.Hour)
		probe := runDeaf(t, looplag.Config{IdleInterval: 10 * ms}, pipe)
		var got breaches
		probe.OnBreach(looplag.Rule{Lag: time.Hour, Stall: 20 * ms}, got.add)
		for range 30 {
			sleep(5 * ms)
			probe.Ignore(true)
			probe.Ignore(false)
			sleep(5 * ms)
		}
		s := probe.Snapshot()
		require.Greater(t, s.Net.Max, 200*ms)
		require.Equal(t, looplag.CauseNone, s.Cause)
		require.Empty(t, got.take())
		sleep(300 * ms)
		require.NotEqual(t, looplag.CauseNone, probe.Snapshot().Cause)
		require.Len(t, got.take(), 1)
	})
}

func TestATickThatIsTooLateIsReportedWithHowLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := looplag.New(looplag.Config{Root: fstest.MapFS{}})
		var got breaches
		probe.OnBreach(looplag.Rule{Lag: time.Hour}, got.add)
		next, tick, end := probe.Ticks(false)
		defer end()
		next()
		time.Sleep(10*ms + 100*ms - 1)
		tick()
		synctest.Wait()
		require.Empty(t, got.take())
		next()
		time.Sleep(10*ms + 100*ms)
		tick()
		synctest.Wait()
		reports := got.take()
		require.Len(t, reports, 1)
		require.Equal(t, 100*ms, reports[0].Wait)
		require.Equal(t, 100*ms, reports[0].Snapshot.Overdue)
	})
}

func TestLagIsThatOfNetOrOfTimer(t *testing.T) {
	for _, c := range []struct {
		net, timer time.Duration
		want       int
	}{{10 * ms, 0, 1}, {0, 10 * ms, 1}, {10*ms - 1, 10*ms - 1, 0}} {
		probe := looplag.New(looplag.Config{Root: fstest.MapFS{}})
		var got breaches
		probe.OnBreach(looplag.Rule{}, got.add)
		probe.Judge(looplag.Snapshot{
			Window: time.Minute, Net: looplag.Dist{P90: c.net}, Timer: looplag.Dist{P90: c.timer},
		})
		require.Len(t, got.take(), c.want, "%+v", c)
	}
}

func TestEvidenceThatTakesManyTicksIsHeldAgainstNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		pipe.hold.set(time.Hour)
		probe := runDeaf(t, looplag.Config{IdleInterval: 10 * ms}, pipe)
		var got breaches
		probe.OnBreach(looplag.Rule{Lag: time.Hour, Stall: 20 * ms}, got.add)
		probe.Ignore(true)
		sleep(300 * ms)
		require.Greater(t, probe.Snapshot().Net.Max, 200*ms)
		require.Equal(t, looplag.CauseNone, probe.Snapshot().Cause)
		require.Empty(t, got.take())
		probe.Ignore(false)
	})
}

func TestATurnThatEndedMeanwhileHasNoStack(t *testing.T) {
	b := looplag.New(looplag.Config{Root: fstest.MapFS{}}).GatherTooLate()
	require.Equal(t, looplag.Breach{}, b)
}

func TestCooldownIsBetweenTwoReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, pipe)
		var got breaches
		probe.OnBreach(looplag.Rule{Cooldown: time.Second, Lag: time.Hour, Stall: 50 * ms}, got.add)
		var at []time.Duration
		began := time.Now()
		sleep(3 * ms) // never at the same moment as a tick
		for range 30 {
			pipe.hold.set(55 * ms)
			sleep(60 * ms)
			pipe.hold.set(0)
			sleep(140 * ms)
		}
		for i, b := range got.take() {
			at = append(at, b.At.Sub(began).Truncate(100*ms))
			if i > 0 {
				require.Equal(t, 4, b.Suppressed)
			}
		}
		require.Len(t, at, 6)
		for i := 1; i < len(at); i++ {
			require.GreaterOrEqual(t, at[i]-at[i-1], time.Second)
		}
	})
}

func TestLagThatBeginsTooSoonIsReportedIfItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, pipe)
		var got breaches
		probe.OnBreach(looplag.Rule{Cooldown: time.Minute, Lag: time.Hour, Stall: 50 * ms}, got.add)
		stall := func(d time.Duration) int {
			pipe.hold.set(time.Hour)
			sleep(d)
			pipe.hold.set(0)
			pipe.release()
			sleep(100 * ms)
			return len(got.take())
		}
		require.Equal(t, 1, stall(time.Second))
		require.Equal(t, 0, stall(time.Second))
		require.Equal(t, 1, stall(2*time.Minute))
	})
}

func TestATurnThatBeginsTooSoonIsReportedIfItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
		var got breaches
		probe.OnBreach(looplag.Rule{Cooldown: time.Minute}, got.add)
		loop := probe.Watch("hub", 50*ms)
		defer loop.Close()
		turn := func(d time.Duration) []looplag.Breach {
			loop.Begin()
			sleep(d)
			loop.End()
			return got.take()
		}
		require.Len(t, turn(100*ms), 1, "at 60 ms")
		require.Empty(t, turn(time.Second))
		reports := turn(150 * time.Second)
		require.Len(t, reports, 2)
		require.Equal(t, time.Minute+60*ms-1100*ms, reports[0].Loop.Busy, "as soon as Cooldown is over")
		require.False(t, reports[0].Again)
		require.Equal(t, 1, reports[0].Suppressed)
		require.Equal(t, 2*reports[0].Loop.Busy+10*ms, reports[1].Loop.Busy)
		require.True(t, reports[1].Again)
		require.Zero(t, reports[1].Suppressed)
		require.Empty(t, turn(time.Second), "less than Cooldown after the last report")
	})
}

func TestATurnThatEndsUnreportedIsSuppressedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
		var got breaches
		probe.OnBreach(looplag.Rule{Cooldown: time.Minute}, got.add)
		hub, feed := probe.Watch("hub", 50*ms), probe.Watch("feed", 50*ms)
		defer hub.Close()
		turn := func(l *looplag.Loop, d time.Duration) []looplag.Breach {
			l.Begin()
			sleep(d)
			l.End()
			return got.take()
		}
		require.Len(t, turn(hub, 100*ms), 1)
		require.Len(t, turn(feed, 100*ms), 1)
		for range 3 {
			require.Empty(t, turn(hub, 10*time.Second))
		}
		feed.Begin()
		sleep(10 * time.Second)
		feed.Close()
		feed.End()
		sleep(time.Minute)
		reports := turn(hub, 100*ms)
		require.Len(t, reports, 1)
		require.Equal(t, 4, reports[0].Suppressed)
	})
}

func TestATurnIsReportedAsSoonAsTheFunctionIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
		var got breaches
		probe.OnBreach(looplag.Rule{}, func(b looplag.Breach) {
			got.add(b)
			time.Sleep(time.Second)
		})
		hub, feed := probe.Watch("hub", 50*ms), probe.Watch("feed", 50*ms)
		defer hub.Close()
		defer feed.Close()
		hub.Begin()
		sleep(60 * ms)
		hub.End()
		require.Len(t, got.take(), 1)
		feed.Begin()
		sleep(time.Second + 10*ms)
		reports := got.take()
		require.Len(t, reports, 1)
		require.Equal(t, "feed", reports[0].Loop.Name)
		require.Zero(t, reports[0].Suppressed)
		feed.End()
	})
}

func TestARuleThatComesLaterReportsATurnThatOthersHaveReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
		var first, second breaches
		probe.OnBreach(looplag.Rule{}, first.add)
		loop := probe.Watch("hub", 50*ms)
		defer loop.Close()
		loop.Begin()
		sleep(300 * ms)
		require.Len(t, first.take(), 3)
		probe.OnBreach(looplag.Rule{}, second.add)
		sleep(10 * ms)
		loop.End()
		require.Empty(t, first.take())
		reports := second.take()
		require.Len(t, reports, 1)
		require.False(t, reports[0].Again)
	})
}

func TestCallsOfAFunctionDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
		running, calls, suppressed := 0, 0, 0
		probe.OnBreach(looplag.Rule{Cooldown: 1}, func(b looplag.Breach) {
			running++
			require.Equal(t, 1, running)
			time.Sleep(200 * ms)
			running--
			calls++
			suppressed += b.Suppressed
		})
		loop := probe.Watch("hub", 15*ms)
		for range 10 {
			loop.Begin()
			sleep(40 * ms)
			loop.End()
			sleep(60 * ms)
		}
		sleep(time.Second)
		require.Greater(t, calls, 2)
		require.Less(t, calls, 6)
		require.Positive(t, suppressed)
		loop.Close()
	})
}

func TestNothingIsReportedAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipe()
		pipe.hold.set(time.Hour)
		probe := run(t, looplag.Config{}, pipe)
		var got, others breaches
		stop := probe.OnBreach(looplag.Rule{}, got.add)
		probe.OnBreach(looplag.Rule{}, others.add)
		stop()
		stop()
		sleep(time.Second)
		require.Empty(t, got.take())
		require.Len(t, others.take(), 1)
	})
}

func TestAProfileEndsWithRun(t *testing.T) {
	probe := looplag.New(looplag.Config{Interval: ms, IdleInterval: ms, Root: fstest.MapFS{}})
	ctx, stop := context.WithCancel(t.Context())
	var got breaches
	probe.OnBreach(looplag.Rule{Lag: time.Hour, Stall: time.Hour, Profile: time.Hour}, got.add)
	var wg sync.WaitGroup
	wg.Go(func() { _ = probe.Run(ctx) })
	loop := probe.Watch("hub", ms)
	loop.Begin()
	// Somebody else's profile is refused once the probe's has begun.
	for pprof.StartCPUProfile(io.Discard) == nil {
		pprof.StopCPUProfile()
		runtime.Gosched()
	}
	stop()
	wg.Wait()
	loop.End()
	require.NotEmpty(t, got.take())
}

func TestOnBreachPanicsOutOfBounds(t *testing.T) {
	probe := looplag.New(looplag.Config{})
	ignore := func(looplag.Breach) {}
	require.PanicsWithValue(t, "looplag: OnBreach called with a nil function", func() { probe.OnBreach(looplag.Rule{}, nil) })
	for want, rule := range map[string]looplag.Rule{
		"looplag: Rule.Lag is -1ns, must not be negative":      {Lag: -1},
		"looplag: Rule.Stall is -1ns, must not be negative":    {Stall: -1},
		"looplag: Rule.Cooldown is -1ns, must not be negative": {Cooldown: -1},
		"looplag: Rule.Profile is -1ns, must not be negative":  {Profile: -1},
	} {
		require.PanicsWithValue(t, want, func() { probe.OnBreach(rule, ignore) })
	}
}

func TestABreachIsALine(t *testing.T) {
	require.Equal(t, "looplag: 30ms late: cpu_saturated", looplag.Breach{
		Wait: 20 * ms, Snapshot: looplag.Snapshot{Net: looplag.Dist{P90: 30 * ms}, Cause: looplag.CauseCPUSaturated},
	}.String())
	require.Equal(t, `looplag: loop "hub" is stuck for 1s`, looplag.Breach{
		Loop: &looplag.LoopInfo{Name: "hub", Busy: time.Second},
	}.String())
}

func TestCulpritIsTheInnermostFrameOutsideOfTheStandardLibrary(t *testing.T) {
	stack := func(frames ...string) []byte {
		text := "goroutine 7 [sleep]:\n"
		for _, f := range frames {
			text += f + "(0x1, {0x2, 0x3})\n\t/src/" + path.Base(f) + "/file name.go:12 +0x34\n"
		}
		return []byte(text + "created by sync.(*WaitGroup).Go in goroutine 1\n\t/src/sync/waitgroup.go:238 +0x73\n")
	}
	for _, c := range []struct {
		frames []string
		want   string
	}{
		{[]string{"time.Sleep", "main.handle", "main.main"}, "main.handle"},
		{[]string{"internal/poll.(*FD).Read", "net.(*conn).Read", "github.com/a/b.(*Hub).run", "main.main"}, "github.com/a/b.(*Hub).run"},
		{[]string{"gopkg.in/yaml%2ev3.(*T).f", "main.main"}, "gopkg.in/yaml%2ev3.(*T).f"},
		{[]string{"runtime.gopark", "net/http.(*conn).serve"}, ""},
		{nil, ""},
	} {
		function, file, line := looplag.Culprit(stack(c.frames...))
		require.Equal(t, c.want, function)
		if c.want != "" {
			require.Equal(t, "file name.go", path.Base(file))
			require.Equal(t, 12, line)
		}
	}
	for _, broken := range []string{"", "goroutine 7 [running]:", "goroutine 7 [running]:\nmain.f(", "goroutine 1:\nmain.f()\n\tfile"} {
		_, _, line := looplag.Culprit([]byte(broken))
		require.Zero(t, line)
	}
}
