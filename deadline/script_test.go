package deadline_test

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A script is what a fuzzer's bytes say shall happen in one call of Retry or Hedge: how much time the caller has, when
// he leaves, and how each attempt behaves. The models below compute from it what the call has to do.
//
// Two events at the same moment may be seen in either order, so no two ever are: all times are multiples of 100 ms plus
// a residue in microseconds in which every source of time has bits of its own, which add up to the same sum only if the
// same events do.
type script struct {
	deadline, leaves time.Duration // never is 0
	steps            []step
	maxAttempts      int
	need             time.Duration
	perTry           time.Duration // for Retry
	delay            time.Duration // for Hedge
}

type step struct {
	takes  time.Duration
	end    ending
	after  time.Duration // for askTime
	heeds  bool          // returns as soon as its context ends
	number int
}

type ending int

const (
	succeeds ending = iota
	fails
	failsForGood
	asksForTime
	asksToStop
	endings
)

var errFatal = errors.New("fatal")

// err is what the step's attempt returns if it is left to end as it wants to.
func (s step) err() error {
	switch s.end {
	case succeeds:
		return nil
	case failsForGood:
		return fmt.Errorf("attempt %d: %w", s.number, errFatal)
	case asksForTime:
		return fmt.Errorf("attempt %d: %w", s.number, pushback(s.after))
	case asksToStop:
		return fmt.Errorf("attempt %d: %w", s.number, pushback(-1))
	default:
		return fmt.Errorf("attempt %d: %w", s.number, errDown)
	}
}

// run is the attempt.
func (s step) run(ctx context.Context) (int, error) {
	t := time.NewTimer(s.takes)
	defer t.Stop()
	var done <-chan struct{}
	if s.heeds {
		done = ctx.Done()
	}
	select {
	case <-t.C:
		if err := s.err(); err != nil {
			return 0, err
		}
		return s.number, nil
	case <-done:
		return 0, errCut
	}
}

// errCut is what an attempt returns that its context has ended.
var errCut = errors.New("cut short")

func isFatal(err error) bool { return errors.Is(err, errFatal) }

const (
	maxSteps    = 5
	grid        = 100 * ms
	perTryBit   = time.Microsecond // up to 5 of them
	delayBit    = time.Microsecond // up to 5 of them; perTry and delay are never in one script
	takesBit    = 8 * time.Microsecond
	afterBit    = takesBit << maxSteps
	deadlineBit = afterBit << maxSteps
	leavesBit   = deadlineBit << 1 // 16.384 ms: the sum of all residues stays below the grid
)

// reader hands out a fuzzer's bytes, and zeros when there are no more.
type reader []byte

func (r *reader) n(below int) int {
	if len(*r) == 0 {
		return 0
	}
	b := (*r)[0]
	*r = (*r)[1:]
	return int(b) % below
}

func (r *reader) script() script {
	var s script
	if n := r.n(16); n > 0 {
		s.deadline = time.Duration(n)*grid + deadlineBit
	}
	if n := r.n(32); n > 0 && n < 16 {
		s.leaves = time.Duration(n)*grid + leavesBit
	}
	s.maxAttempts = r.n(maxSteps) + 1
	s.need = time.Duration(r.n(4)) * grid
	if n := r.n(6); n > 0 {
		s.perTry = time.Duration(n)*grid + perTryBit
	}
	s.delay = time.Duration(r.n(6))*grid + delayBit
	for i := range maxSteps {
		s.steps = append(s.steps, step{
			number: i + 1,
			takes:  time.Duration(r.n(6))*grid + takesBit<<i,
			end:    ending(r.n(int(endings))),
			after:  time.Duration(r.n(6))*grid + afterBit<<i,
			heeds:  r.n(2) == 0,
		})
	}
	return s
}

// contextEnd is when the caller's context ends, and whether for lack of time; never is the largest duration.
func (s script) contextEnd() (at time.Duration, expires bool) {
	at = never
	if s.deadline > 0 {
		at, expires = s.deadline, true
	}
	if s.leaves > 0 && s.leaves < at {
		at, expires = s.leaves, false
	}
	return at, expires
}

const never = time.Duration(1<<63 - 1)

// context is the script's context, which begins now.
func (s script) context(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	stop := func() bool { return true }
	if s.leaves > 0 {
		stop = time.AfterFunc(s.leaves, cancel).Stop
	}
	inner, cancelInner := ctx, func() {}
	if s.deadline > 0 {
		inner, cancelInner = context.WithTimeout(ctx, s.deadline)
	}
	return inner, func() { stop(); cancelInner(); cancel() }
}

// modelBudget is a bucket of tokens by the book, in millionths.
type modelBudget struct{ tokens, full, gain int64 }

func (b *modelBudget) succeeded()   { b.tokens = min(b.tokens+b.gain, b.full) }
func (b *modelBudget) failed()      { b.tokens = max(b.tokens-1e6, 0) }
func (b *modelBudget) allows() bool { return 2*b.tokens > b.full }

// stop is why no further attempt is made.
type stop string

const (
	nothing  stop = ""
	noBudget stop = "budget"
	noTime   stop = "time"
	left     stop = "caller left"
)

// refuses says why an attempt cannot start after a wait that ends at that time.
func (s script) refuses(b *modelBudget, now, start time.Duration) stop {
	if why := s.short(now, start, max(s.need, 1)); why != nothing {
		return why
	}
	if !b.allows() {
		return noBudget
	}
	return nothing
}

// short says why there cannot be need left at start, as far as is known now.
func (s script) short(now, start, need time.Duration) stop {
	end, expires := s.contextEnd()
	switch {
	case now >= end && expires:
		return noTime
	case now >= end:
		return left
	case s.deadline > 0 && s.deadline-start < need:
		return noTime
	}
	return nothing
}

// reason turns what a RetryError says into what a model says.
func reason(err error) stop {
	switch {
	case err == nil:
		return nothing
	case err.Error() == "deadline: retry budget spent":
		return noBudget
	case errors.Is(err, context.DeadlineExceeded):
		return noTime
	default:
		return left
	}
}
