package load

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// An outcome is what came of a request.
type outcome int

const (
	accepted outcome = iota // a status of 2xx
	refused                 // 503, by what does the work
	shed                    // 503 in plain text, as package shed answers: the servers themselves answer in JSON
	timedOut                // 504
	failed                  // another status, or no answer
	expired                 // the client would not wait any longer
	outcomes
)

// A Result is what came of a step. Rates are per second; latencies are those of accepted requests, from the time that
// each was due to the end of its answer.
type Result struct {
	Offered  float64 // as configured
	Achieved float64 // answered, whatever the answer
	Goodput  float64 // accepted within the SLO

	// Accepted counts answers of 2xx, Refused those of 503, TimedOut those of 504, Failed others and broken
	// connections, Expired requests whose client gave up, Dropped those that were not sent.
	Accepted, Refused, TimedOut, Failed, Expired, Dropped int
	// Shed counts those of Refused that package shed has refused.
	Shed int

	P50, P90, P99, P999, Max time.Duration
	// Late is how late the generator itself was with a request (P99). Latencies near it are the generator's.
	Late time.Duration

	// What [Process.Measure] adds: Capacity is how many requests a second the server could do, Intruders which share of its
	// processor or of the generator's others took, whichever was more, and Drift by which share Capacity has grown
	// meanwhile.
	Capacity, Intruders, Drift float64
}

// A tally counts outcomes.
type tally struct {
	slo time.Duration

	mu        sync.Mutex // guards what follows
	counts    [outcomes]int
	good      int
	dropped   int
	latencies []time.Duration // of accepted requests
	late      []time.Duration // of all that were sent
}

func (t *tally) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped++
}

func (t *tally) add(o outcome, late, latency time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[o]++
	t.late = append(t.late, late)
	if o == accepted {
		t.latencies = append(t.latencies, latency)
		if latency <= t.slo {
			t.good++
		}
	}
}

// result is called when nothing is added any more.
func (t *tally) result(rate float64, d time.Duration) Result {
	slices.Sort(t.latencies)
	slices.Sort(t.late)
	allRefused := t.counts[refused] + t.counts[shed]
	answered := t.counts[accepted] + allRefused + t.counts[timedOut] + t.counts[failed]
	return Result{
		Offered:  rate,
		Achieved: float64(answered) / d.Seconds(),
		Goodput:  float64(t.good) / d.Seconds(),
		Accepted: t.counts[accepted], Refused: allRefused, Shed: t.counts[shed], TimedOut: t.counts[timedOut],
		Failed: t.counts[failed], Expired: t.counts[expired], Dropped: t.dropped,
		P50: quantile(t.latencies, 0.5), P90: quantile(t.latencies, 0.9), P99: quantile(t.latencies, 0.99),
		P999: quantile(t.latencies, 0.999), Max: quantile(t.latencies, 1),
		Late: quantile(t.late, 0.99),
	}
}

// quantile returns the smallest value that a share q of the sorted values does not exceed; 0 if there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// A Row is a line of a [Table].
type Row struct {
	Name string
	Result
}

// Table writes results as a table of Markdown, under title and a line of column names. Latencies are in milliseconds.
func Table(w io.Writer, title string, rows []Row) error {
	_, err := fmt.Fprintf(w, "| %s | offered/s | achieved/s | goodput/s | 503 | 504 | failed | gave up | dropped "+
		"| p50 | p90 | p99 | p99.9 | max | late p99 | capacity/s | intruders | drift |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n", title)
	for _, r := range rows {
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "| %s | %.0f | %.0f | %.0f | %d | %d | %d | %d | %d | %s | %s | %s | %s | %s | %s | %.0f | %.0f %% | %+.0f %% |\n",
			r.Name, r.Offered, r.Achieved, r.Goodput, r.Refused, r.TimedOut, r.Failed, r.Expired, r.Dropped,
			ms(r.P50), ms(r.P90), ms(r.P99), ms(r.P999), ms(r.Max), ms(r.Late), r.Capacity, r.Intruders*100, r.Drift*100)
	}
	return err
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }
