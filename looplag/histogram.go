package looplag

import (
	"math"
	"math/bits"
	"time"
)

// The buckets of a histogram: one for everything below 2^minBits ns (about a microsecond), then 2^subBits of equal
// width for each power of two, then one for 2^maxBits ns (about two minutes) and more. A bucket is at most an eighth
// as wide as its lower edge.
const (
	subBits = 3
	minBits = 10
	maxBits = 37
	buckets = 1 + (maxBits-minBits)<<subBits + 1
)

// A histogram says for how long a request would have waited how long: bucket i holds the nanoseconds during which the
// wait was in [edges[i], edges[i+1]). Weighing by time and not by samples makes the quantiles indifferent to how often
// the probe looked, which depends on what it saw.
type histogram [buckets]uint64

// edges are the bounds of a histogram's buckets in nanoseconds.
var edges = func() [buckets + 1]float64 {
	var e [buckets + 1]float64
	for i := range buckets - 1 {
		e[i+1] = float64(lowerEdge(i + 1))
	}
	e[buckets] = math.Inf(1)
	return e
}()

// lowerEdge is the smallest duration that belongs into bucket i, which must not be the first.
func lowerEdge(i int) time.Duration {
	octave, sub := (i-1)>>subBits, (i-1)&(1<<subBits-1)
	return time.Duration(1<<subBits+sub) << (minBits - subBits + octave)
}

// bucketOf is the index of the bucket that d belongs into.
func bucketOf(d time.Duration) int {
	switch octave := bits.Len64(uint64(max(d, 0))) - 1; {
	case octave < minBits:
		return 0
	case octave >= maxBits:
		return buckets - 1
	default:
		sub := int(d>>(octave-subBits)) & (1<<subBits - 1)
		return 1 + (octave-minBits)<<subBits + sub
	}
}

// add notes that the wait was d for as long as span.
func (h *histogram) add(d, span time.Duration) {
	h[bucketOf(d)] += uint64(max(span, 0))
}

// addFalling notes that the wait fell from high to low, one nanosecond in each, as it does for those who arrive one
// after another and are all served at the same moment.
func (h *histogram) addFalling(high, low time.Duration) {
	for i := bucketOf(low); low < high; i++ {
		next := high
		if i < buckets-1 {
			next = min(high, lowerEdge(i+1))
		}
		h[i] += uint64(next - low)
		low = next
	}
}

// distribution describes weights that are spread over the buckets between the bounds, in nanoseconds. A quantile is
// interpolated linearly within its bucket; Max is the upper bound of the last one. An infinite bound counts as the
// bucket's other one.
func distribution(weights []uint64, bounds []float64) Dist {
	var total uint64
	last := 0
	for i, w := range weights {
		if w > 0 {
			total += w
			last = i
		}
	}
	if total == 0 {
		return Dist{}
	}
	var values [3]time.Duration
	ranks := [len(values)]float64{0.50 * float64(total), 0.90 * float64(total), 0.99 * float64(total)}
	next, below := 0, 0.0
	for i, w := range weights[:last+1] {
		if w == 0 {
			continue
		}
		for ; next < len(ranks) && ranks[next] <= below+float64(w); next++ {
			low, high := finite(bounds[i], bounds[i+1])
			values[next] = time.Duration(low + (high-low)*(ranks[next]-below)/float64(w))
		}
		below += float64(w)
	}
	_, high := finite(bounds[last], bounds[last+1])
	return Dist{N: total, P50: values[0], P90: values[1], P99: values[2], Max: time.Duration(high), OK: true}
}

// sum adds up the durations that were counted in buckets with the given bounds, each taken to lie in the middle of its
// bucket.
func sum(counts []uint64, bounds []float64) float64 {
	var total float64
	for i, n := range counts {
		if n > 0 {
			low, high := finite(bounds[i], bounds[i+1])
			total += float64(n) * (low + high) / 2
		}
	}
	return total
}

// finite replaces a bound at infinity by the other one, and everything below zero by zero.
func finite(low, high float64) (float64, float64) {
	low = max(low, 0)
	if math.IsInf(high, 1) {
		high = low
	}
	return low, max(high, low)
}
