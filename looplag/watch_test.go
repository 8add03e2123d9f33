package looplag_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

func TestLoopsTellsWhatTurnsTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := looplag.New(looplag.Config{}) // it need not run
		require.Empty(t, probe.Loops())
		hub, feed := probe.Watch("hub", 50*ms), probe.Watch("feed", time.Second)
		for _, d := range []time.Duration{0, 50 * ms, 50*ms + 1, 20 * ms} {
			hub.Begin()
			time.Sleep(d)
			hub.End()
			time.Sleep(time.Hour)
		}
		feed.Begin()
		time.Sleep(7 * ms)
		require.Equal(t, []looplag.LoopInfo{
			{Name: "hub", Max: 50 * ms, Turns: 4, Late: 1, Spent: 120*ms + 1, Longest: 50*ms + 1},
			{Name: "feed", Max: time.Second, Busy: 7 * ms},
		}, probe.Loops())
		hub.Close()
		hub.Close()
		require.Len(t, probe.Loops(), 1)
	})
}

func TestTurnsMustAlternate(t *testing.T) {
	loop := looplag.New(looplag.Config{}).Watch("hub", ms)
	require.PanicsWithValue(t, "looplag: End called outside of a turn", loop.End)
	loop.Begin()
	require.PanicsWithValue(t, "looplag: Begin called within a turn", loop.Begin)
	loop.End()
	require.PanicsWithValue(t, "looplag: End called outside of a turn", loop.End)
}

func TestWatchPanicsWithoutALimit(t *testing.T) {
	probe := looplag.New(looplag.Config{})
	require.PanicsWithValue(t, "looplag: Watch called with a limit of 0s, must be positive", func() { probe.Watch("hub", 0) })
	require.PanicsWithValue(t, "looplag: Watch called with a limit of -1s, must be positive", func() { probe.Watch("hub", -time.Second) })
}

func TestTurnsAllocateNothing(t *testing.T) {
	loop := looplag.New(looplag.Config{}).Watch("hub", time.Hour)
	require.Zero(t, testing.AllocsPerRun(1000, func() { loop.Begin(); loop.End() }))
}

func TestATurnThatEndsInTimeIsNotReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
		var got breaches
		probe.OnBreach(looplag.Rule{}, got.add)
		loop := probe.Watch("hub", 50*ms)
		for range 20 {
			loop.Begin()
			sleep(50 * ms)
			loop.End()
		}
		require.Empty(t, got.take())
		loop.Close()
	})
}

func TestAClosedLoopIsNotReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
		var got breaches
		probe.OnBreach(looplag.Rule{}, got.add)
		loop := probe.Watch("hub", 50*ms)
		loop.Begin()
		loop.Close()
		sleep(time.Second)
		loop.End()
		require.Empty(t, got.take())
	})
}

func TestALoopIsNotBlamedForTheTimeInWhichTicksWereLateToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := looplag.New(looplag.Config{})
		var got breaches
		probe.OnBreach(looplag.Rule{Stall: time.Hour}, got.add)
		next, tick, end := probe.Ticks(false)
		defer end()
		next()
		loop := probe.Watch("hub", 50*ms)
		loop.Begin()
		time.Sleep(time.Second) // the whole process was stopped
		tick()
		synctest.Wait()
		require.Empty(t, got.take())
		loop.End()
	})
}

func TestLoopsCanBeWatchedByMany(t *testing.T) {
	probe := looplag.New(looplag.Config{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				loop := probe.Watch("hub", time.Hour)
				loop.Begin()
				probe.Loops()
				loop.End()
				loop.Close()
			}
		})
	}
	wg.Wait()
	require.Empty(t, probe.Loops())
}
