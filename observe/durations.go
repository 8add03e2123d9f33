package observe

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// durations keeps what a histogram is to be told until there is enough of it, or somebody collects. To tell it takes more
// than a kilobyte of stack, which a task seldom has left, and to make that grow takes longer than anything else here.
type durations struct {
	histogram metric.Float64Histogram
	with      []metric.RecordOption

	mu   sync.Mutex
	kept []time.Duration
}

// enough is how many durations are told at once.
const enough = 128

// add adds a duration. ctx is that of the measurement if it may become an exemplar, see measured: then the histogram is told
// at once. Otherwise it is nil.
func (d *durations) add(ctx context.Context, took time.Duration) {
	if ctx != nil {
		d.histogram.Record(ctx, took.Seconds(), d.with...)
		return
	}
	d.mu.Lock()
	if d.kept == nil {
		d.kept = make([]time.Duration, 0, enough)
	}
	d.kept = append(d.kept, took)
	full := len(d.kept) >= enough
	d.mu.Unlock()
	if full {
		d.tell()
	}
}

// tell tells the histogram what was kept.
func (d *durations) tell() {
	d.mu.Lock()
	kept := slices.Clone(d.kept)
	d.kept = d.kept[:0]
	d.mu.Unlock()
	for _, took := range kept {
		d.histogram.Record(root, took.Seconds(), d.with...)
	}
}
