package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

// A processor is a model of the server, on the fake clock: it does one thing after the other, requests and the bytes of the
// probe, in the order in which they come. Laws that look promising here are then tried on the machine, which others use;
// here the figures are the same each time.
type processor struct {
	base time.Time
	sent atomic.Int64 // when the byte under way was sent, in ns since base; 0 if none is
}

func (p *processor) Overdue() time.Duration {
	if sent := p.sent.Load(); sent != 0 {
		return time.Since(p.base) - time.Duration(sent)
	}
	return 0
}

const (
	modelWork    = time.Millisecond      // what a request computes in the mean, exponentially distributed
	modelRefusal = 50 * time.Microsecond // what any request costs, refused or not
)

// An outcome is what came of the requests that came after the first two seconds.
type outcome struct {
	goodput, refused float64 // shares of what can be done, and of what came
	p50, p99         time.Duration
}

// model offers requests that come at random, load times as many as can be done, under a law.
func model(t *testing.T, name string, load float64) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		const warmUp, end = 2 * time.Second, 12 * time.Second
		p := &processor{base: time.Now()}
		l := laws[name]()
		if g, ok := l.(*grove); ok {
			g.listen(p)
		}
		var (
			d      door
			random = rand.New(rand.NewPCG(1, uint64(load*100)))
			gap    = func() time.Duration {
				return time.Duration(random.ExpFloat64() * float64(modelWork+modelRefusal) / load)
			}
			queue      []time.Duration // when its requests came; a byte counts as one that comes before all
			isByte     []bool
			last       time.Duration   // the wait of the last byte
			window     []time.Duration // the waits of the last 2.5 s, by tick
			latencies  []time.Duration
			came, good float64
			refused    float64
			next       = gap()
			nextTick   = tick
		)
		for now := time.Duration(0); now < end; now = time.Since(p.base) {
			for ; next <= now; next += gap() {
				queue, isByte = append(queue, next), append(isByte, false)
			}
			if now >= nextTick {
				nextTick = now + tick
				v := view{wait: max(last, p.Overdue()), overdue: p.Overdue(), runnable: float64(len(queue))}
				window = append(window, v.wait)
				window = window[max(0, len(window)-250):]
				sorted := slices.Sorted(slices.Values(window))
				v.window = looplag.Snapshot{Net: looplag.Dist{P90: sorted[len(sorted)*9/10], OK: true}}
				l.tick(v)
				if p.sent.CompareAndSwap(0, int64(now)) {
					queue, isByte = append(queue, now), append(isByte, true)
				}
			}
			if len(queue) == 0 {
				time.Sleep(min(next, nextTick) - now)
				continue
			}
			at, probe := queue[0], isByte[0]
			queue, isByte = queue[1:], isByte[1:]
			if probe {
				last = p.Overdue()
				p.sent.Store(0)
				continue
			}
			done, ok := l.admit(&d)
			time.Sleep(modelRefusal)
			if ok {
				time.Sleep(time.Duration(min(random.ExpFloat64(), 10) * float64(modelWork)))
				done()
			}
			if at < warmUp {
				continue
			}
			came++
			if !ok {
				refused++
				continue
			}
			latency := time.Since(p.base) - at
			latencies = append(latencies, latency)
			if latency <= 100*time.Millisecond {
				good++
			}
		}
		slices.Sort(latencies)
		o = outcome{
			goodput: good * float64(modelWork+modelRefusal) / float64(end-warmUp),
			refused: refused / max(1, came),
		}
		if n := len(latencies); n > 0 {
			o.p50, o.p99 = latencies[n/2], latencies[n*99/100]
		}
	})
	return o
}

// With -v it also tries the other laws, and prints the table of docs/shedding.md.
func TestGroveIsTheLawThatKeepsGoodputAndRefusesNothingBelowTheKnee(t *testing.T) {
	loads := []float64{0.8, 0.9, 1.1, 1.5, 2, 3}
	var table strings.Builder
	table.WriteString("| law |")
	for _, load := range loads {
		fmt.Fprintf(&table, " %.1f |", load)
	}
	for _, name := range names() {
		if name != "grove" && !testing.Verbose() {
			continue
		}
		fmt.Fprintf(&table, "\n| `%s` |", name)
		for _, load := range loads {
			o := model(t, name, load)
			fmt.Fprintf(&table, " %.2f, %.1f %%, %d ms |", o.goodput, 100*o.refused, o.p99.Milliseconds())
			if name != "grove" {
				continue
			}
			if load < 0.9 {
				require.Less(t, o.refused, 1e-3)
			}
			require.Greater(t, o.goodput, min(load, 1)*(1-max(load-1, 0)*float64(modelRefusal)/float64(modelWork))-0.06)
		}
	}
	t.Log("goodput, refused, p99:\n" + table.String())
}
