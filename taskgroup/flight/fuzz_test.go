package flight_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup/flight"
)

// FuzzGroup lets callers come and leave, loads return, fail, panic and exit, keys be forgotten and time pass, and
// compares what every caller gets, and when, and what every load sees of its context, with a sequential model.
func FuzzGroup(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"))                     // two callers, a value
	f.Add([]byte("\x05\x00\x00\x01\x00\x00\x00\x00\x03\x04\x07\x00\x00\x01\x02"))     // a heeding load times out
	f.Add([]byte("\x03\x00\x01\x00\x00\x00\x01\x00\x02\x04\x09\x00\x01\x00\x03\x02")) // a stuck one is replaced
	f.Add([]byte("\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x02\x00\x03\x01\x01")) // forgotten, panicked, left
	random := rand.NewChaCha8([32]byte{})
	for range 30 { // and some that are longer than one can think of
		data := make([]byte, 500)
		_, _ = random.Read(data)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			next := func(n int) int {
				if len(data) == 0 {
					return 0
				}
				b := data[0]
				data = data[1:]
				return int(b) % n
			}
			s := &simulation{t: t, current: map[string]*simLoad{}}
			s.g.Timeout = time.Duration(next(8)) * time.Millisecond
			for steps := 0; len(data) > 0 && steps < 200; steps++ {
				switch next(8) {
				case 0, 1, 2:
					s.call([]string{"a", "b"}[next(2)], next(2) == 0, time.Duration(next(12))*time.Millisecond)
				case 3:
					if waiting := s.waiting(); len(waiting) > 0 {
						s.leave(waiting[next(len(waiting))])
					}
				case 4:
					s.sleep(time.Duration(next(10)) * time.Millisecond)
				case 5:
					s.forget([]string{"a", "b"}[next(2)])
				default:
					if running := s.running(); len(running) > 0 {
						s.end(running[next(len(running))], next(4))
					}
				}
				s.check()
			}
			for _, c := range s.waiting() {
				s.leave(c)
				s.check()
			}
			for _, l := range s.running() {
				s.end(l, returns)
				s.check()
			}
			require.Zero(t, s.g.Keys())
		})
	})
}

// How a load can end when it is told to.
const (
	returns = iota
	fails
	panics
	exits
)

type simLoad struct {
	id    int
	key   string
	heeds bool // returns the cause of its context when that ends
	told  chan int

	// What happened.
	ctx context.Context // nil until it has started

	// What should have happened.
	deadline time.Time // zero without a Timeout
	callers  []*simCall
	shared   bool
	cause    string // of its context, empty while that is alive
	over     bool
}

type simCall struct {
	load     *simLoad
	cancel   context.CancelFunc
	begin    time.Time
	deadline time.Time // zero without one; no two moments in a simulation are the same if a caller's is among them

	// What happened, nil as long as nothing has, and what should have.
	got  <-chan outcome
	want *report
}

// A report is an outcome that can be compared.
type report struct {
	v      int
	shared bool
	err    string
	after  time.Duration
}

type simulation struct {
	t       *testing.T
	g       group
	current map[string]*simLoad // those that can be joined

	// What is not over, or has ended since the last check, and how many there have been.
	loads, calls int
	flying       []*simLoad
	callers      []*simCall
}

func (s *simulation) waiting() []*simCall {
	return slices.DeleteFunc(slices.Clone(s.callers), func(c *simCall) bool { return c.want != nil })
}

func (s *simulation) running() []*simLoad {
	return slices.DeleteFunc(slices.Clone(s.flying), func(l *simLoad) bool { return l.over })
}

// call calls Do with a context that ends after about limit, or never if that is 0.
func (s *simulation) call(key string, heeds bool, limit time.Duration) {
	s.calls++
	c := &simCall{begin: time.Now()}
	s.callers = append(s.callers, c)
	var ctx context.Context
	if limit == 0 {
		ctx, c.cancel = context.WithCancel(s.t.Context())
	} else {
		limit += time.Duration(s.calls) * time.Microsecond
		c.deadline = c.begin.Add(limit)
		ctx, c.cancel = context.WithTimeout(s.t.Context(), limit)
	}

	fn := never
	l := s.current[key]
	if l == nil || l.overdue() {
		s.loads++
		l = &simLoad{id: s.loads, key: key, heeds: heeds, told: make(chan int)}
		if s.g.Timeout > 0 {
			l.deadline = c.begin.Add(s.g.Timeout)
		}
		s.flying = append(s.flying, l)
		s.current[key] = l
		fn = l.run
	}
	l.shared = l.shared || len(l.callers) > 0 // a load without callers is joined by nobody
	l.callers = append(l.callers, c)
	c.load = l
	c.got = call(ctx, &s.g, key, fn)
}

func (l *simLoad) overdue() bool { return !l.deadline.IsZero() && !time.Now().Before(l.deadline) }

// run is the function that Do is called with.
func (l *simLoad) run(ctx context.Context) (int, error) {
	l.ctx = ctx
	var done <-chan struct{}
	if l.heeds {
		done = ctx.Done()
	}
	select {
	case <-done:
		return -l.id, context.Cause(ctx)
	case how := <-l.told:
		switch how {
		case fails:
			return l.id, errLoad
		case panics:
			panic(l.id)
		case exits:
			runtime.Goexit()
		}
		return l.id, nil
	}
}

// leave cancels the context of a caller.
func (s *simulation) leave(c *simCall) {
	c.cancel()
	s.left(c, context.Canceled)
}

// left is what should happen when the context of c ends.
func (s *simulation) left(c *simCall, err error) {
	l := c.load
	c.want = &report{0, l.shared, err.Error(), s.moment(c.deadline, err).Sub(c.begin)}
	l.callers = slices.DeleteFunc(l.callers, func(other *simCall) bool { return other == c })
	if len(l.callers) > 0 {
		return
	}
	s.close(l)
	s.ends(l, context.Canceled.Error(), report{})
}

// moment is when an event happens that is due at a deadline or, being a cancellation, now.
func (s *simulation) moment(deadline time.Time, err error) time.Time {
	if errors.Is(err, context.Canceled) {
		return time.Now()
	}
	return deadline
}

// ends is what should happen when the context of a load ends before the load does: a load that heeds it returns r.
func (s *simulation) ends(l *simLoad, cause string, r report) {
	if l.cause == "" {
		l.cause = cause
	}
	if l.heeds {
		s.over(l, l.deadline, r)
	}
}

func (s *simulation) forget(key string) {
	s.g.Forget(key)
	delete(s.current, key)
}

func (s *simulation) close(l *simLoad) {
	if s.current[l.key] == l {
		delete(s.current, l.key)
	}
}

// end tells a load how to end.
func (s *simulation) end(l *simLoad, how int) {
	l.told <- how
	r := report{v: l.id}
	switch how {
	case fails:
		r.err = errLoad.Error()
		if l.overdue() {
			r.err = (&flight.TimeoutError{Key: l.key, Limit: s.g.Timeout, Err: errLoad}).Error()
		}
	case panics:
		r = report{err: fmt.Sprintf("panic in load of %s: %d", l.key, l.id)}
	case exits:
		r = report{err: flight.ErrGoexit.Error()}
	}
	s.over(l, time.Now(), r)
}

// over is what should happen when a load returns.
func (s *simulation) over(l *simLoad, at time.Time, r report) {
	l.over = true
	s.close(l)
	if l.cause == "" {
		l.cause = context.Canceled.Error()
	}
	for _, c := range l.callers {
		c.want = &report{r.v, l.shared, r.err, at.Sub(c.begin)}
	}
	l.callers = nil
}

// sleep lets time pass, with everything that falls due.
func (s *simulation) sleep(d time.Duration) {
	now := time.Now().Add(d)
	time.Sleep(d)
	for {
		var first time.Time
		var event func()
		due := func(at time.Time, f func()) {
			if !at.IsZero() && !at.After(now) && (event == nil || at.Before(first)) {
				first, event = at, f
			}
		}
		for _, l := range s.running() {
			if l.cause == "" {
				late := (&flight.TimeoutError{Key: l.key, Limit: s.g.Timeout}).Error()
				due(l.deadline, func() { s.ends(l, late, report{v: -l.id, err: late}) })
			}
		}
		for _, c := range s.waiting() {
			due(c.deadline, func() { s.left(c, context.DeadlineExceeded) })
		}
		if event == nil {
			return
		}
		event()
	}
}

// check compares what happened with what should have.
func (s *simulation) check() {
	synctest.Wait()
	for _, c := range s.callers {
		select {
		case got := <-c.got:
			r := report{v: got.v, shared: got.shared, after: got.after}
			if p, ok := errors.AsType[*flight.PanicError](got.err); ok {
				r.err = p.Summary()
			} else if got.err != nil {
				r.err = got.err.Error()
			}
			require.Equal(s.t, c.want, &r)
		default:
			require.Nil(s.t, c.want, "the call still waits")
		}
	}
	for _, l := range s.flying {
		require.NotNil(s.t, l.ctx, "load %d has not started", l.id)
		cause := ""
		if err := context.Cause(l.ctx); err != nil {
			cause = err.Error()
		}
		require.Equal(s.t, l.cause, cause, "context of load %d", l.id)
	}
	s.callers, s.flying = s.waiting(), s.running()
	require.Len(s.t, s.current, s.g.Keys())
}
