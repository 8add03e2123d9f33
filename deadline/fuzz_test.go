package deadline_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
)

// seed makes that tests without fuzzing try some hundred scripts too.
func seed(f *testing.F) {
	for n := range uint64(400) {
		random := rand.New(rand.NewPCG(n, 0))
		data := make([]byte, 130)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(data)
	}
}

// FuzzRetry compares a few calls, one after the other with one Budget, with a model. Waits are those that failed
// attempts ask for, and none otherwise.
func FuzzRetry(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		r := reader(data)
		synctest.Test(t, func(t *testing.T) {
			size := r.n(8) + 1
			budget := deadline.NewBudget(size, 0.25)
			model := &modelBudget{tokens: int64(size) * 1e6, full: int64(size) * 1e6, gain: 25e4}
			for range r.n(4) + 1 {
				retryOnce(t, r.script(), budget, model)
				require.Equal(t, model.tokens, budget.Tokens())
			}
		})
	})
}

type retried struct {
	starts []time.Duration
	errs   []string
	value  int
	why    stop
	ends   time.Duration
}

func retryOnce(t *testing.T, s script, budget *deadline.Budget, model *modelBudget) {
	ctx, cancel := s.context(t.Context())
	defer cancel()
	begin := time.Now()
	p := deadline.RetryPolicy{Attempts: s.maxAttempts, PerTry: s.perTry, Need: s.need, Fatal: isFatal, Budget: budget}
	var got retried
	v, err := deadline.Retry(ctx, p, func(ctx context.Context, attempt int) (int, error) {
		got.starts = append(got.starts, time.Since(begin))
		return s.steps[attempt-1].run(ctx)
	})
	got.value, got.ends = v, time.Since(begin)
	if e, ok := errors.AsType[*deadline.RetryError](err); ok {
		got.why = reason(e.Stopped)
		for _, err := range e.Attempts {
			got.errs = append(got.errs, err.Error())
		}
	}
	require.Equal(t, modelRetry(s, model), got)
}

func modelRetry(s script, b *modelBudget) (m retried) {
	end, expires := s.contextEnd()
	for _, step := range s.steps {
		if m.why = s.short(m.ends, m.ends, s.need); m.why != nothing {
			return m
		}
		m.starts = append(m.starts, m.ends)
		// The attempt's own end, or the first of those that cut it short.
		cut, own := end, false
		if s.perTry > 0 && m.ends+s.perTry < cut {
			cut, own = m.ends+s.perTry, true
		}
		over, err := m.ends+step.takes, step.err()
		if step.heeds && cut < over {
			over, err = cut, errCut
		}
		m.ends = over
		if err == nil {
			b.succeeded()
			m.value, m.errs = step.number, nil
			return m
		}
		m.errs = append(m.errs, attemptText(s, err, over >= cut, own, expires))
		if isFatal(err) {
			return m
		}
		if over >= end {
			m.why = s.short(over, over, 0)
			return m
		}
		b.failed()
		if step.number == s.maxAttempts || errors.Is(err, pushback(-1)) {
			return m
		}
		wait := time.Duration(0)
		if errors.Is(err, pushback(step.after)) {
			wait = step.after
		}
		if m.why = s.refuses(b, over, over+wait); m.why != nothing {
			return m
		}
		m.ends = min(over+wait, end)
	}
	return m
}

// attemptText is an attempt's error as Retry lists it: if there is a limit for each attempt, wrapped in the budget that
// had run out by then.
func attemptText(s script, err error, late, own, expires bool) string {
	switch {
	case s.perTry == 0 || !late || (!own && !expires):
		return err.Error()
	case own:
		return (&deadline.Error{Name: "attempt", Limit: s.perTry, Err: err}).Error()
	default:
		return (&deadline.Error{Inherited: true, Err: err}).Error()
	}
}

// FuzzHedge compares a few calls, one after the other with one Budget, with a model.
func FuzzHedge(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		r := reader(data)
		synctest.Test(t, func(t *testing.T) {
			size := r.n(8) + 1
			budget := deadline.NewBudget(size, 0.25)
			model := &modelBudget{tokens: int64(size) * 1e6, full: int64(size) * 1e6, gain: 25e4}
			for range r.n(4) + 1 {
				hedgeOnce(t, r.script(), budget, model)
				require.Equal(t, model.tokens, budget.Tokens())
			}
		})
	})
}

type hedged struct {
	starts    map[int]time.Duration
	errs      []string // sorted: attempts that the caller's end cuts short fail at the same moment
	value     int
	discarded []int
	why       stop
	ends      time.Duration
}

func hedgeOnce(t *testing.T, s script, budget *deadline.Budget, model *modelBudget) {
	ctx, cancel := s.context(t.Context())
	defer cancel()
	begin := time.Now()
	p := deadline.HedgePolicy{Attempts: s.maxAttempts, Delay: s.delay, Need: s.need, Fatal: isFatal, Budget: budget}
	var mu sync.Mutex
	got := hedged{starts: map[int]time.Duration{}}
	states := map[int]func() error{}
	v, release, err := deadline.HedgeHeld(ctx, p, func(ctx context.Context, attempt int) (int, error) {
		mu.Lock()
		got.starts[attempt] = time.Since(begin)
		states[attempt] = ctx.Err
		mu.Unlock()
		return s.steps[attempt-1].run(ctx)
	}, func(v int) { got.discarded = append(got.discarded, v) })
	got.value, got.ends = v, time.Since(begin)
	if e, ok := errors.AsType[*deadline.RetryError](err); ok {
		got.why = reason(e.Stopped)
		for _, err := range e.Attempts {
			got.errs = append(got.errs, err.Error())
		}
	}
	slices.Sort(got.errs)
	slices.Sort(got.discarded)
	for attempt, state := range states {
		alive := attempt == v && ctx.Err() == nil
		require.Equal(t, alive, state() == nil, "context of attempt %d", attempt)
	}
	release()
	if v > 0 {
		require.Error(t, states[v]())
	}
	require.Equal(t, modelHedge(s, model), got)
}

// modelHedge goes from event to event.
func modelHedge(s script, b *modelBudget) hedged {
	m := hedged{starts: map[int]time.Duration{}}
	end, _ := s.contextEnd()
	if m.why = s.short(0, 0, s.need); m.why != nothing {
		return m
	}
	over := map[int]time.Duration{} // when running attempts will have ended
	next := never                   // when the next one starts
	start := func(now time.Duration) {
		n := len(m.starts) + 1
		m.starts[n] = now
		over[n] = now + s.steps[n-1].takes
		next = never
		if n < s.maxAttempts {
			next = now + s.delay
		}
	}
	stopFor := func(why stop) {
		next = never
		if m.why == nothing {
			m.why = why
		}
	}
	for start(0); len(over) > 0 || next != never; {
		now := next
		first := 0
		for n, at := range over {
			if s.steps[n-1].heeds && end < at {
				over[n], at = end, end
			}
			if at < now {
				now, first = at, n
			}
		}
		if len(over) == 0 && end <= now {
			stopFor(s.short(end, end, 0))
			m.ends = end
			continue
		}
		m.ends = now
		if first == 0 {
			if why := s.refuses(b, now, now); why != nothing {
				stopFor(why)
			} else {
				start(now)
			}
			continue
		}

		step := s.steps[first-1]
		delete(over, first)
		err := step.err()
		if step.heeds && end <= now {
			err = errCut
		}
		if err == nil {
			b.succeeded()
			m.value, m.why, m.errs = first, nothing, nil
			m.join(s, over)
			break
		}
		m.errs = append(m.errs, err.Error())
		if isFatal(err) {
			m.join(s, over)
			break
		}
		if end <= now {
			stopFor(s.short(now, now, 0))
			continue
		}
		b.failed()
		why := nothing
		wait := time.Duration(0)
		if errors.Is(err, pushback(step.after)) {
			wait = step.after
		}
		last := len(m.starts) == s.maxAttempts || errors.Is(err, pushback(-1))
		if !last {
			why = s.refuses(b, now, now+wait)
		}
		switch {
		case last || why != nothing:
			stopFor(why)
		case next == never: // given up before
		case wait > 0:
			next = now + wait
		default:
			start(now)
		}
	}
	slices.Sort(m.errs)
	slices.Sort(m.discarded)
	return m
}

// join ends the attempts that run when the call is decided.
func (m *hedged) join(s script, over map[int]time.Duration) {
	for n, at := range over {
		if s.steps[n-1].heeds {
			continue
		}
		m.ends = max(m.ends, at)
		if s.steps[n-1].end == succeeds {
			m.discarded = append(m.discarded, n)
		}
	}
}
