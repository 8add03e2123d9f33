package looplag_test

import (
	"path"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

// A piece is a stretch of time in which the wait fell evenly from high to low.
type piece struct{ span, high, low float64 }

// upTo is how much of the piece had a wait of x or less.
func (p piece) upTo(x float64) float64 {
	switch {
	case x >= p.high:
		return p.span
	case x < p.low:
		return 0
	default:
		return p.span * (x - p.low) / (p.high - p.low)
	}
}

// A note is what one observation told.
type note struct {
	at     time.Duration
	peak   time.Duration
	pieces []piece
}

// A model is everything that was ever noted.
type model []note

// check compares d with what was noted after the time start.
func (m model) check(t *testing.T, start time.Duration, d looplag.Dist) {
	for len(m) > 0 && m[0].at <= start {
		m = m[1:]
	}
	var peak time.Duration
	var total float64
	for _, note := range m {
		peak = max(peak, note.peak)
		for _, p := range note.pieces {
			total += p.span
		}
	}
	require.Equal(t, looplag.Dist{N: uint64(len(m)), P50: d.P50, P90: d.P90, P99: d.P99, Max: peak, OK: len(m) > 0}, d)
	if len(m) == 0 {
		return
	}
	share := func(x float64) (s float64) {
		for _, note := range m {
			for _, p := range note.pieces {
				s += p.upTo(x)
			}
		}
		return s / total
	}
	for q, got := range map[float64]time.Duration{0.50: d.P50, 0.90: d.P90, 0.99: d.P99} {
		// The quantile and the interpolated one are in the same bucket: an eighth wide, the first one 1,024 ns.
		x := float64(got)
		require.GreaterOrEqual(t, share(x*1.126+1025), q-1e-9, "P%v of %+v", 100*q, d)
		require.LessOrEqual(t, share((x-1025)/1.126-1), q+1e-9, "P%v of %+v", 100*q, d)
	}
}

// FuzzWindow notes timers and bytes with any gaps between them and any waits, and compares every Snapshot with a model
// that forgets nothing.
func FuzzWindow(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Add([]byte{0, 10, 0, 0, 1, 10, 0, 100, 0, 250, 200, 0, 1, 30, 30, 30, 0, 0, 100, 0})
	f.Add([]byte{1, 50, 40, 30, 1, 5, 100, 0, 1, 1, 100, 50, 1, 255, 255, 255, 0, 255, 255, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		const width = 2500 * ms
		ops = ops[:min(len(ops), 1000)] // the model is quadratic
		probe := looplag.New(looplag.Config{Window: width, Root: fstest.MapFS{}})
		noteTimer, noteByte, advance := probe.Notes()
		var now, lastTimer, lastByte, longestGap time.Duration
		var lastWait float64
		var timers, bytes model
		for ; len(ops) >= 4; ops = ops[4:] {
			gap, a, b := span(ops[1])+1, span(ops[2]), span(ops[3])
			before := now
			if ops[0]%2 == 0 {
				due := now + gap
				now = due + a
				wait := float64(a)
				timers = append(timers, note{now, a, []piece{
					{float64(due - lastTimer), wait, wait},
					{wait, wait, 0},
				}})
				noteTimer(lastTimer, due, now)
				lastTimer = now
			} else {
				sent := now + gap
				due, wait := sent-b, float64(a)
				now = sent + a
				began := sent
				if b >= 2*ms {
					began = max(due, lastByte)
				}
				held := float64(sent - began)
				longest := max(held, wait)
				gap, peak := began-lastByte, longest
				half := gap / 2
				if half > 0 {
					peak = max(peak, lastWait)
				}
				bytes = append(bytes, note{now, time.Duration(peak), []piece{
					{float64(half), lastWait, lastWait},     // before it was due, like the one before
					{float64(gap - half), longest, longest}, // and like this one
					{longest - wait, longest, wait},         // held back, and longer than it was under way
					{held - (longest - wait), wait, wait},   // held back, but not as long
					{wait, wait, wait},                      // under way
				}})
				noteByte(lastByte, due, sent, now)
				lastByte, lastWait = now, wait
			}
			s := advance(now)
			timers.check(t, now-s.Window, s.Timer)
			bytes.check(t, now-s.Window, s.Net)
			longestGap = max(longestGap, now-before)
			require.GreaterOrEqual(t, s.Window, min(now, width))
			require.Less(t, s.Window, width+width/10+longestGap)
		}
	})
}

// span is b² × 100 µs: up to 6.5 s.
func span(b byte) time.Duration { return time.Duration(b) * time.Duration(b) * 100 * time.Microsecond }

// A report is what a Breach tells of a turn.
type report struct {
	loop       looplag.LoopInfo
	again      bool
	suppressed int
}

// FuzzTurns makes turns of any length at any distance and compares what is reported with a model: a tick every 10 ms
// looks how long the turn has lasted, and whether the last report was long enough ago. The cooldown is in units of 10 ms.
func FuzzTurns(f *testing.F) {
	f.Add(byte(0), []byte{5, 60, 5, 49, 5, 51, 5, 255})
	f.Add(byte(0), []byte{0, 0, 255, 49, 0, 50, 0, 51})
	f.Add(byte(30), []byte{5, 60, 5, 60, 5, 240, 5, 255, 5, 60, 255, 60})
	f.Fuzz(func(t *testing.T, tens byte, ops []byte) {
		cooldown := max(1, time.Duration(tens)*10*ms)
		ops = ops[:min(len(ops), 100)]
		synctest.Test(t, func(t *testing.T) {
			const limit = 50 * ms
			probe := run(t, looplag.Config{IdleInterval: 10 * ms}, newPipe())
			var got breaches
			probe.OnBreach(looplag.Rule{Cooldown: cooldown}, got.add)
			loop := probe.Watch("hub", limit)
			defer loop.Close()
			var now, spent, longest time.Duration
			var want []report
			var turns, late uint64
			var quietUntil time.Duration
			suppressed := 0
			sleep(ms / 2) // never at the same moment as a tick
			now += ms / 2
			for ; len(ops) >= 2; ops = ops[2:] {
				gap, length := time.Duration(ops[0])*ms, time.Duration(ops[1])*ms
				sleep(gap)
				began := now + gap
				now = began + length
				loop.Begin()
				sleep(length)
				loop.End()
				bound, seen, reported := limit, false, false
				for tick := began.Truncate(10*ms) + 10*ms; tick < now; tick += 10 * ms {
					busy := tick - began
					seen = seen || busy > limit
					if busy <= bound || !reported && tick < quietUntil {
						continue
					}
					want = append(want, report{looplag.LoopInfo{
						Name: "hub", Max: limit, Busy: busy, Turns: turns, Late: late, Spent: spent, Longest: longest,
					}, reported, suppressed})
					bound, reported, quietUntil, suppressed = 2*busy, true, tick+cooldown, 0
				}
				if seen && !reported {
					suppressed++
				}
				turns++
				spent += length
				longest = max(longest, length)
				if length > limit {
					late++
				}
			}
			var reports []report
			for _, b := range got.take() {
				reports = append(reports, report{*b.Loop, b.Again, b.Suppressed})
				require.Equal(t, "probe_test.go", path.Base(b.File), "in sleep")
			}
			require.Equal(t, want, reports)
		})
	})
}

// FuzzCulprit reads stacks that are none.
func FuzzCulprit(f *testing.F) {
	f.Add([]byte("goroutine 7 [sleep]:\ntime.Sleep(0x1)\n\t/src/time.go:1 +0x2\nmain.f(...)\n\t/a b/main.go:12 +0x3\n"))
	f.Add([]byte("goroutine 7 [sleep]:\nmain.f\n\t:\n"))
	f.Fuzz(func(t *testing.T, stack []byte) {
		function, _, line := looplag.Culprit(stack)
		require.True(t, line == 0 || function != "")
	})
}
