package looplag_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

func TestCauseHasAName(t *testing.T) {
	for cause, want := range map[looplag.Cause]string{
		looplag.CauseNone:          "none",
		looplag.CauseGCSTW:         "gc_stw",
		looplag.CauseOtherSTW:      "other_stw",
		looplag.CauseCPUThrottled:  "cpu_throttled",
		looplag.CauseCPUSaturated:  "cpu_saturated",
		looplag.CauseBlockingCalls: "blocking_calls",
		looplag.CauseOSDelay:       "os_delay",
		looplag.CauseUnknown:       "unknown",
	} {
		require.Equal(t, want, fmt.Sprint(cause))
		var read looplag.Cause
		require.NoError(t, read.UnmarshalText([]byte(want)))
		require.Equal(t, cause, read)
	}
	require.Equal(t, "cause(8)", (looplag.CauseUnknown + 1).String())
	require.EqualError(t, new(looplag.Cause).UnmarshalText([]byte("ghosts")), `looplag: no cause "ghosts"`)
	text, err := json.Marshal(looplag.Snapshot{Cause: looplag.CauseOSDelay})
	require.NoError(t, err)
	require.Contains(t, string(text), `"Cause":"os_delay"`)
}

// storm calls pause again and again until the world was stopped for a fiftieth of the window, and by pauses of the
// other kind for less than half as long. It does so in a bubble, where the probe's clock stands still meanwhile, so that
// nothing else can be late, whatever else the machine does. The pauses are real, and it is the runtime that measures
// them.
func storm(t *testing.T, pause func(), kinds func(looplag.STW) (this, other looplag.Pauses)) (s looplag.Snapshot) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms, Window: 100 * ms}, newPipe())
		for {
			for range 20 {
				pause()
			}
			sleep(10 * ms)
			s = probe.Snapshot()
			if this, other := kinds(s.STW); this.Total >= 2*ms && this.Total > 2*other.Total {
				require.GreaterOrEqual(t, this.N, uint64(20))
				require.LessOrEqual(t, this.Max, 2*this.Total)
				require.True(t, !s.Sched.OK || s.Sched.P50 >= 64, "waits of no length are left out")
				return
			}
		}
	})
	return s
}

func TestStormOfGarbageCollections(t *testing.T) {
	s := storm(t, runtime.GC, func(stw looplag.STW) (this, other looplag.Pauses) { return stw.GC, stw.Other })
	require.Equal(t, looplag.CauseGCSTW, s.Cause)
}

func TestStormOfOtherPauses(t *testing.T) {
	var stats runtime.MemStats
	s := storm(t, func() { runtime.ReadMemStats(&stats) },
		func(stw looplag.STW) (this, other looplag.Pauses) { return stw.Other, stw.GC })
	require.Equal(t, looplag.CauseOtherSTW, s.Cause)
}

func TestInferredCauses(t *testing.T) {
	p := runtime.GOMAXPROCS(0)
	for _, c := range []struct {
		demand, outside int
		lag             time.Duration
		want            looplag.Cause
	}{
		{demand: p, want: looplag.CauseCPUSaturated},
		{demand: p, lag: time.Second, want: looplag.CauseCPUSaturated},
		{demand: p, outside: 4*p - 1, want: looplag.CauseCPUSaturated},
		{demand: p, outside: 4 * p, want: looplag.CauseBlockingCalls},
		{demand: 80 * p, outside: 40*p - 1, want: looplag.CauseCPUSaturated},
		{demand: 80 * p, outside: 40 * p, want: looplag.CauseBlockingCalls},
		{demand: p - 1, outside: 4 * p, want: looplag.CauseBlockingCalls},
		{demand: p - 1, lag: 2 * ms, want: looplag.CauseOSDelay},
		{demand: p - 1, lag: 2*ms - 1, want: looplag.CauseUnknown},
		{demand: -3, outside: -1, lag: time.Second, want: looplag.CauseOSDelay}, // the runtime tells nothing
	} {
		require.Equal(t, c.want, looplag.Infer(c.demand, c.outside, c.lag), "%+v", c)
	}
}

func TestOnlyWhileProcessorsAreSaturatedManyOutsideAreSuspect(t *testing.T) {
	p := runtime.GOMAXPROCS(0)
	require.Equal(t, time.Second, looplag.Suspect(looplag.CauseCPUSaturated, time.Second, 4*p))
	require.Zero(t, looplag.Suspect(looplag.CauseCPUSaturated, time.Second, 4*p-1))
	require.Zero(t, looplag.Suspect(looplag.CauseBlockingCalls, time.Second, 4*p))
}

func TestALateTickAndALateByteAddUp(t *testing.T) {
	require.Equal(t, 7*ms, looplag.Waited(3*ms, 4*ms, 10*ms))
	require.Equal(t, 10*ms, looplag.Waited(8*ms, 4*ms, 10*ms))
	require.Equal(t, 3*ms, looplag.Waited(3*ms, 2*ms-1, 10*ms))
	require.Equal(t, 4*ms, looplag.Waited(2*ms-1, 4*ms, 10*ms))
}

// What a late tick finds is what is left of the queue that made it late.
func TestTheQueueBeforeAStallIsItsCause(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		probe := looplag.New(looplag.Config{Root: fstest.MapFS{}})
		next, tick, end := probe.Ticks(true)
		defer end()
		next()
		time.Sleep(10 * ms)
		var done atomic.Bool
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for !done.Load() {
					runtime.Gosched()
				}
			})
		}
		tick()
		done.Store(true)
		wg.Wait()
		next()
		time.Sleep(time.Second)
		tick()
		require.Equal(t, looplag.CauseCPUSaturated, probe.Snapshot().Cause)
	})
}

type lost = [looplag.CauseUnknown + 1]time.Duration

func TestDominantCause(t *testing.T) {
	const window = time.Second
	saturated := func(d time.Duration) lost { return lost{looplag.CauseCPUSaturated: d} }
	gc := func(d time.Duration) lost { return lost{looplag.CauseGCSTW: d} }
	for _, c := range []struct {
		inferred, measured lost
		want               looplag.Cause
	}{
		{want: looplag.CauseNone},
		{saturated(10*ms - 1), gc(10*ms - 1), looplag.CauseNone},
		{saturated(10 * ms), gc(0), looplag.CauseCPUSaturated},
		{saturated(0), gc(10 * ms), looplag.CauseGCSTW},
		{saturated(100 * ms), gc(100 * ms), looplag.CauseGCSTW}, // the pauses are all of the waits
		{saturated(100 * ms), gc(51 * ms), looplag.CauseGCSTW},  // … and more than the rest
		{saturated(100 * ms), gc(49 * ms), looplag.CauseCPUSaturated},
		{
			lost{looplag.CauseCPUSaturated: 60 * ms, looplag.CauseOSDelay: 40 * ms},
			lost{looplag.CauseGCSTW: 20 * ms, looplag.CauseOtherSTW: 30 * ms},
			looplag.CauseOtherSTW,
		},
		{
			lost{looplag.CauseCPUSaturated: 80 * ms, looplag.CauseOSDelay: 20 * ms},
			lost{looplag.CauseGCSTW: 20 * ms, looplag.CauseOtherSTW: 30 * ms},
			looplag.CauseCPUSaturated,
		},
	} {
		require.Equal(t, c.want, looplag.Dominant(c.inferred, c.measured, window), "%+v", c)
	}
	require.Equal(t, looplag.CauseNone, looplag.Dominant(lost{}, lost{}, 0))
}

func TestSaturatedProcessorsThatDidNotRunWereBlockedOrNotScheduled(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	saturated := lost{looplag.CauseCPUSaturated: 100 * ms}
	split := func(os time.Duration) lost {
		return lost{looplag.CauseCPUSaturated: 100*ms - os, looplag.CauseOSDelay: os}
	}
	for _, c := range []struct {
		lost           lost
		outside        time.Duration
		ran, throttled time.Duration
		waited         time.Duration
		want           lost
	}{
		{lost: saturated, ran: 100 * ms, want: saturated},
		{lost: saturated, ran: 250 * ms, waited: time.Second, want: saturated},
		{lost: saturated, ran: 30 * ms, want: split(70 * ms)},
		{lost: saturated, ran: 0, want: split(100 * ms)},
		{lost: saturated, ran: 30 * ms, throttled: 60 * ms, want: split(10 * ms)},
		{lost: lost{looplag.CauseUnknown: 10 * ms}, ran: time.Second, want: lost{looplag.CauseUnknown: 10 * ms}},
		{
			lost: lost{looplag.CauseUnknown: 10 * ms}, waited: 14 * ms, throttled: 6 * ms,
			want: lost{looplag.CauseUnknown: 2 * ms, looplag.CauseOSDelay: 8 * ms},
		},
		{lost: lost{looplag.CauseBlockingCalls: 10 * ms}, waited: time.Second, want: lost{looplag.CauseBlockingCalls: 10 * ms}},
		{lost: saturated, outside: 100 * ms, ran: 100 * ms, want: saturated},
		{
			lost: saturated, outside: 50 * ms, ran: 20 * ms,
			want: lost{looplag.CauseCPUSaturated: 20 * ms, looplag.CauseBlockingCalls: 40 * ms, looplag.CauseOSDelay: 40 * ms},
		},
		{lost: lost{}, waited: time.Second, want: lost{}},
	} {
		require.Equal(t, c.want, looplag.Settle(c.lost, c.outside, looplag.OS{Ran: c.ran, Waited: c.waited, OK: true}, c.throttled), "%+v", c)
	}
	require.Equal(t, saturated, looplag.Settle(saturated, 0, looplag.OS{}, 0), "not measured")
}

func TestGCWorkIsTheProcessorTimeOfTheCollector(t *testing.T) {
	probe := looplag.New(looplag.Config{})
	for probe.Snapshot().GCWork == 0 {
		runtime.GC()
	}
	require.Positive(t, probe.Snapshot().GCWork)
	require.Zero(t, looplag.New(looplag.Config{}).Snapshot().GCWork, "of the window")
}

func TestWhatWasLostAfterAReadingWaitsForTheNext(t *testing.T) {
	all := lost{looplag.CauseCPUSaturated: 80 * ms, looplag.CauseUnknown: 8 * ms}
	before, rest := looplag.Split(all, time.Second, 2*time.Second, 1250*ms)
	require.Equal(t, lost{looplag.CauseCPUSaturated: 20 * ms, looplag.CauseUnknown: 2 * ms}, before)
	require.Equal(t, lost{looplag.CauseCPUSaturated: 60 * ms, looplag.CauseUnknown: 6 * ms}, rest)
	for _, at := range []time.Duration{2 * time.Second, time.Hour} {
		before, rest = looplag.Split(all, time.Second, 2*time.Second, at)
		require.Equal(t, all, before)
		require.Zero(t, rest)
	}
	before, rest = looplag.Split(lost{}, time.Second, 0, 2*time.Second)
	require.Zero(t, before)
	require.Zero(t, rest)
}
