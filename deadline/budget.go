package deadline

import (
	"fmt"
	"sync/atomic"
)

// Budget keeps retries and hedges from multiplying the load on a service that is failing already. It is a bucket of
// tokens, full at first: a failed attempt takes one out, a call that succeeds puts a fraction of one back, and only
// while the bucket is more than half full does it allow another attempt. The first attempt of a call is never refused,
// and no running attempt is ever ended.
//
// Have one Budget for each service that is called, shared by all calls of [Retry] and [Hedge] to it. It is safe for
// concurrent use, never blocks, and knows no time. The nil Budget allows everything.
type Budget struct {
	// tokens is what is in the bucket and never outside [0, full]; both are counted in units.
	tokens     atomic.Int64
	full, gain int64
}

// unit is the part of a token in which a Budget counts.
const unit = 1e6

// NewBudget returns a full Budget that holds so many tokens and gets ratio of one back for each success: with 10 and 0.1,
// the values that gRPC suggests, five failures in a row stop retries, and they stay few while fewer than ten calls
// succeed for each attempt that fails. The ratio is rounded to millionths.
//
// NewBudget panics unless tokens is between 1 and a billion and ratio, rounded, above 0 and at most tokens.
func NewBudget(tokens int, ratio float64) *Budget {
	if tokens < 1 || tokens > 1e9 {
		panic(fmt.Sprintf("deadline: NewBudget of %d tokens, which is not in [1, 1e9]", tokens))
	}
	if !(ratio*unit >= 0.5 && ratio <= float64(tokens)) { // true for NaN
		panic(fmt.Sprintf("deadline: NewBudget with ratio %v, which is not in (0, %d]", ratio, tokens))
	}
	b := &Budget{full: int64(tokens) * unit, gain: int64(ratio*unit + 0.5)}
	b.tokens.Store(b.full)
	return b
}

func (b *Budget) succeeded() {
	if b != nil {
		b.add(b.gain)
	}
}

func (b *Budget) failed() {
	if b != nil {
		b.add(-unit)
	}
}

// allows tells whether the bucket is more than half full.
func (b *Budget) allows() bool {
	return b == nil || b.tokens.Load() > b.full/2
}

func (b *Budget) add(n int64) {
	for {
		old := b.tokens.Load()
		tokens := min(max(old+n, 0), b.full)
		if tokens == old || b.tokens.CompareAndSwap(old, tokens) {
			return
		}
	}
}
