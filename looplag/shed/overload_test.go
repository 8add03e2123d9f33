package shed_test

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag/shed"
)

// A processor does one thing after the other, as a server does that has one: requests and the bytes of a probe, in the
// order in which they come. Everything happens on the fake clock.
type processor struct {
	shed *shed.Shedder
	sent atomic.Int64 // when the byte under way was sent, in ns since the beginning; 0 if none is
	base time.Time
}

func (p *processor) Overdue() time.Duration {
	if sent := p.sent.Load(); sent != 0 {
		return time.Since(p.base) - time.Duration(sent)
	}
	return 0
}

// A run is what came of the requests that came after the first three seconds.
type run struct {
	goodput float64 // done within 100 ms, as a share of what can be done
	refused float64 // as a share of what came
	p99     time.Duration
}

const (
	mean    = time.Millisecond      // what a request computes, exponentially distributed
	refusal = 50 * time.Microsecond // what any request costs, refused or not
)

// offer lets requests come at random, load times as many as can be done.
func offer(t *testing.T, load float64, policy shed.Policy) (r run) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &processor{base: time.Now()}
		p.shed = shed.New(p, policy)
		random := rand.New(rand.NewPCG(1, uint64(load*100)))
		gap := func() time.Duration { return time.Duration(random.ExpFloat64() * float64(mean+refusal) / load) }

		type item struct {
			at   time.Duration
			byte bool
		}
		const warmUp, end = 3 * time.Second, 13 * time.Second
		var queue []item
		var waits []time.Duration
		var came, refused, good float64
		next, tick := gap(), 10*time.Millisecond
		for now := time.Duration(0); now < end; now = time.Since(p.base) {
			for ; next <= now; next += gap() {
				queue = append(queue, item{at: next})
			}
			if now >= tick {
				tick = now + 10*time.Millisecond
				if p.sent.CompareAndSwap(0, int64(now)) {
					queue = append(queue, item{now, true})
				}
			}
			if len(queue) == 0 {
				time.Sleep(min(next, tick) - now)
				continue
			}
			first := queue[0]
			queue = queue[1:]
			if first.byte {
				p.sent.Store(0)
				continue
			}
			admitted := p.shed.Allow(shed.Normal)
			time.Sleep(refusal)
			if admitted {
				time.Sleep(time.Duration(min(random.ExpFloat64(), 10) * float64(mean)))
			}
			if first.at < warmUp {
				continue
			}
			came++
			wait := time.Since(p.base) - first.at
			switch {
			case !admitted:
				refused++
				continue
			case wait <= 100*time.Millisecond:
				good++
			}
			waits = append(waits, wait)
		}
		slices.Sort(waits)
		r = run{
			goodput: good * float64(mean+refusal) / float64(end-warmUp),
			refused: refused / came,
			p99:     waits[len(waits)*99/100],
		}
	})
	return r
}

func TestGoodputStaysNearThePeakUnderOverload(t *testing.T) {
	for load, bound := range map[float64]time.Duration{
		1.1: 100 * time.Millisecond, 1.5: 80 * time.Millisecond, 2: 80 * time.Millisecond, 3: 80 * time.Millisecond,
	} {
		// Which requests are refused is drawn anew each time, so one p99 may be far from the others.
		var p99 []time.Duration
		for range 3 {
			r := offer(t, load, shed.Policy{})
			// Whatever the law, refusals cost their part.
			possible := 1 - max(load-1, 0)*float64(refusal)/float64(mean)
			require.Greater(t, r.goodput, possible-0.05, "at %v", load)
			p99 = append(p99, r.p99)
		}
		slices.Sort(p99)
		require.Less(t, p99[1], bound, "at %v", load)
	}
}

func TestNothingIsRefusedUpToNineTenthsOfTheKnee(t *testing.T) {
	// Up to 0.95 of what can be done, one request in a hundred takes 100 ms.
	for _, load := range []float64{0.5, 0.8, 0.85} {
		r := offer(t, load, shed.Policy{})
		require.Less(t, r.refused, 1e-3, "at %v", load)
		require.InDelta(t, load, r.goodput, 0.03, "at %v", load)
	}
}

func TestHigherTargetRefusesLaterForLongerWaits(t *testing.T) {
	short, long := shed.Policy{Target: 10 * time.Millisecond}, shed.Policy{Target: 50 * time.Millisecond}
	require.Greater(t, offer(t, 0.95, short).refused, 2*offer(t, 0.95, long).refused)
	require.Less(t, offer(t, 2, short).p99, offer(t, 2, long).p99)
}
