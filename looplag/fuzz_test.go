package looplag_test

import (
	"testing"
	"testing/fstest"
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
				bytes = append(bytes, note{now, time.Duration(longest), []piece{
					{float64(began-lastByte) / 2, lastWait, lastWait}, // before it was due, like the one before
					{float64(began-lastByte) / 2, longest, longest},   // and like this one
					{longest - wait, longest, wait},                   // held back, and longer than it was under way
					{held - (longest - wait), wait, wait},             // held back, but not as long
					{wait, wait, wait},                                // under way
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
