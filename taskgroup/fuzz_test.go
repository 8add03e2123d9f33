package taskgroup_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grove-go/grove/taskgroup"
)

var modelOperations = flag.Int("model.operations", 20_000, "how many operations TestGroupsDoWhatTheModelDoes performs")

// FuzzGroup compares a group to which something happens, again and again, with a model.
func FuzzGroup(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x01\x02\x00\x00\x00\x01\x00\x02\x84\x00\x01\xf1\x01\x84\x00\x00"))
	f.Add([]byte("\x01\x02\x00\x00\x02\x00\x06\x00\x02\x7a\x01\xc9\x00\x00\x03\xf8\x85\x00\x07\xfb"))
	f.Fuzz(func(t *testing.T, data []byte) { compare(t, data) })
}

func TestGroupsDoWhatTheModelDoes(t *testing.T) {
	seed := rand.Uint64()
	defer func() {
		if t.Failed() {
			t.Log("seed", seed)
		}
	}()
	rnd := rand.New(rand.NewPCG(seed, 0))
	operations, groups := 0, 0
	for operations < *modelOperations && !t.Failed() {
		data := make([]byte, 1+rnd.IntN(1<<rnd.IntN(11)))
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		operations += compare(t, data)
		groups++
	}
	t.Logf("%d operations on %d groups", operations, groups)
}

// script is a byte string that is read as what to do. It ends in zeros.
type script []byte

// n returns a number below limit.
func (s *script) n(limit int) int {
	if len(*s) == 0 {
		return 0
	}
	b := int((*s)[0])
	*s = (*s)[1:]
	return b % limit
}

func (s *script) flip() bool { return s.n(2) == 1 }

// subject is the group that is compared with the model.
type subject struct {
	t      *testing.T
	script script
	m      *model
	log    []string // what was done, if the comparison fails
	count  int

	g         *taskgroup.Group
	parent    context.Context
	endParent context.CancelCauseFunc
	body      chan order
	quit      chan struct{} // closed to end what still runs

	tasks         []*subjectTask
	begun, over   atomic.Int64
	atOnce        gauge
	results       []*ending
	returned      atomic.Int64
	awaits        []*awaited
	bodyWay       way
	parentExpires time.Duration
}

type subjectTask struct {
	modelTask
	began  atomic.Bool
	inline atomic.Bool
	orders chan order
	future *taskgroup.Future[int]
}

// order is what a task that runs is told to do: something, or to end.
type order struct {
	do  func(ctx context.Context)
	end way
}

// awaited is the result of an Await.
type awaited struct {
	returned bool
	value    int
	err      error
}

// compare performs a script and returns how many operations that were.
func compare(t *testing.T, data []byte) (operations int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &subject{t: t, script: data, quit: make(chan struct{})}
		s.open()
		for len(s.script) > 0 && !t.Failed() {
			s.operate()
		}
		s.close()
		s.compareResults()
		operations = s.count
		if t.Failed() {
			t.Logf("script %q", data)
			for _, line := range s.log {
				t.Log(line)
			}
		}
	})
	return operations
}

// open makes the group and its parent.
func (s *subject) open() {
	m := &model{limit: []int{1 << 30, 1, 2, 3, 5}[s.script.n(5)], maxErrors: 16}
	s.m = m
	opts := []taskgroup.Option{taskgroup.Name("fuzz")}
	if m.limit < 1<<30 {
		opts = append(opts, taskgroup.Limit(m.limit))
	}
	if n := s.script.n(4); n > 0 {
		m.maxErrors = n
		opts = append(opts, taskgroup.MaxErrors(n))
	}
	if s.script.n(3) == 1 {
		m.keepGoing = true
		opts = append(opts, taskgroup.KeepGoing())
	}
	if s.script.flip() {
		m.policy = taskgroup.AsError
		opts = append(opts, taskgroup.OnPanic(taskgroup.AsError))
	}
	kind := s.script.n(4)

	s.parentExpires = time.Second // what is kept for an owner is kept longer
	ctx, cancel := context.WithTimeout(s.t.Context(), s.parentExpires)
	s.t.Cleanup(cancel)
	s.parent, s.endParent = context.WithCancelCause(ctx)
	if kind&1 != 0 {
		outer := taskgroup.New(s.parent)
		s.parent = context.WithValue(outer.Context(), key("x"), 1)
		s.endParent = outer.Cancel
	}
	s.note("limit %d, max errors %d, keep going %t, policy %d, kind %d", m.limit, m.maxErrors, m.keepGoing, m.policy, kind)
	if kind&2 == 0 {
		s.g = taskgroup.New(s.parent, opts...)
		return
	}
	s.body = make(chan order)
	m.body = true
	s.result(func() error {
		return taskgroup.Run(s.parent, func(ctx context.Context, g *taskgroup.Group) error {
			s.g = g
			select {
			case o := <-s.body:
				return o.end.do(ctx, bodyError)
			case <-s.quit:
				return nil
			}
		}, opts...)
	})
	synctest.Wait()
}

const bodyError = ownError(-1)

func (s *subject) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf("%v %s", s.m.now, fmt.Sprintf(format, args...)))
}

func (s *subject) operate() {
	n := s.script.n(256)
	for _, o := range operations {
		if n -= o.often; n < 0 {
			o.do(s)
			break
		}
	}
	s.settle()
}

// settle waits until nothing happens any more, and compares.
func (s *subject) settle() {
	s.count++
	synctest.Wait()
	m := s.m
	if got, want := [...]int64{s.begun.Load(), s.over.Load()}, [...]int64{int64(m.started), int64(m.over)}; got != want {
		s.t.Errorf("tasks begun and over: %v, want %v", got, want)
	}
	if most := s.atOnce.most.Load(); most > int64(m.limit) {
		s.t.Errorf("%d tasks at once, want at most %d", most, m.limit)
	}
	if err := s.g.Context().Err(); err != m.contextErr(false) { //nolint:errorlint // exactly
		s.t.Errorf("the context's error is %v, want %v", err, m.contextErr(false))
	}
	want := int64(0)
	if m.joined {
		want = int64(m.waiters)
	}
	if got := s.returned.Load(); got != want {
		s.t.Errorf("%d of %d calls have returned, want %d", got, m.waiters, want)
	}
}

// close lets everything end.
func (s *subject) close() {
	if s.m.body {
		s.opEndBody()
		s.settle()
	}
	if s.m.waiters == 0 {
		s.opWait()
		s.settle()
	}
	for !s.t.Failed() {
		if live := s.live(); len(live) > 0 {
			s.end(live[0], succeeds)
		} else if len(s.m.running) > 0 {
			s.cancel(nil) // tasks wait for each other's futures
		} else {
			break
		}
		s.settle()
	}
	close(s.quit)
	s.endParent(nil)
	synctest.Wait()
}

func (s *subject) compareResults() {
	for id, t := range s.tasks {
		if got, want := t.began.Load(), s.m.tasks[id].state == over; got != want {
			s.t.Errorf("task %d began: %t, want %t", id, got, want)
		}
	}
	for i, got := range s.results {
		if i == 0 && s.bodyWay == panicking {
			if got.panicked != bodyError {
				s.t.Errorf("the body's panic ended as %v", *got)
			}
			continue
		}
		if i == 0 && s.bodyWay == exiting && s.m.panicked == nil {
			if !got.goexit {
				s.t.Errorf("the body's Goexit ended as %v", *got)
			}
			continue
		}
		late := s.m.late
		if i > 0 {
			late = nil
		}
		if diff := s.m.differs(*got, late); diff != "" {
			s.t.Errorf("call %d %s", i, diff)
		}
	}
	for i, got := range s.awaits {
		if diff := s.m.awaitDiffers(s.m.awaits[i], got); diff != "" {
			s.t.Errorf("await %d %s", i, diff)
		}
	}
}
