package taskgroup_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/grove-go/grove/taskgroup"
)

// operations are what can happen, and how often in 256 times.
var operations = []struct {
	often int
	do    func(*subject)
}{
	{50, (*subject).opGo},
	{20, (*subject).opAsync},
	{16, (*subject).opTryGo},
	{24, (*subject).opStart},
	{74, (*subject).opEnd},
	{20, (*subject).opInside},
	{16, (*subject).opAwait},
	{8, (*subject).opTick},
	{8, (*subject).opContext},
	{4, (*subject).opExpire},
	{4, (*subject).opCancel},
	{3, (*subject).opEndParent},
	{3, (*subject).opWait},
	{3, (*subject).opStop},
	{3, (*subject).opEndBody},
}

// newTask decodes a task.
func (s *subject) newTask() *subjectTask {
	t := &subjectTask{orders: make(chan order)}
	switch s.script.n(4) {
	case 0:
		t.heeds = true
	case 1:
		t.heeds, t.echoes = true, true
	}
	t.own = ownError(len(s.tasks))
	s.tasks = append(s.tasks, t)
	return t
}

// run is the task as a function.
func (s *subject) run(t *subjectTask) func(context.Context) error {
	return func(ctx context.Context) error {
		t.began.Store(true)
		s.begun.Add(1)
		defer s.over.Add(1)
		if s.takesSlot(t) {
			s.atOnce.enter()
			defer s.atOnce.leave()
		}
		var done <-chan struct{}
		if t.heeds {
			done = ctx.Done()
		}
		for {
			select {
			case o := <-t.orders:
				if o.do == nil {
					return o.end.do(ctx, t.own)
				}
				o.do(ctx)
			case <-done:
				if t.echoes {
					return returnsCause.do(ctx, nil)
				}
				return nil
			case <-s.quit:
				return nil
			}
		}
	}
}

// takesSlot reports whether a task that begins counts against the limit.
func (s *subject) takesSlot(t *subjectTask) bool { return !t.background && !t.inline.Load() }

// start gives a task to the group with the method that was decoded, and compares what that returned.
func (s *subject) start(t *subjectTask, method string) {
	id := len(s.tasks) - 1
	wantOK, wantPanic := s.m.add(t.modelTask, method == "TryGo")
	s.note("%s(%d), heeds %t, echoes %t, background %t", method, id, t.heeds, t.echoes, t.background)
	defer func() {
		if v := recover(); (v != nil) != wantPanic {
			s.t.Errorf("%s panics with %v, want it to panic: %t", method, v, wantPanic)
		}
	}()
	switch method {
	case "Go":
		s.g.Go(s.run(t))
	case "TryGo":
		if ok := s.g.TryGo(s.run(t)); ok != wantOK {
			s.t.Errorf("TryGo returns %t", ok)
		}
	case "Async":
		t.future = taskgroup.Async(s.g, func(ctx context.Context) (int, error) { return id + 1, s.run(t)(ctx) })
	case "Start":
		s.g.Start(taskgroup.Task{Name: t.name, Background: t.background, Func: s.run(t)})
	}
}

func (s *subject) opGo() { s.start(s.newTask(), "Go") }

func (s *subject) opAsync() { s.start(s.newTask(), "Async") }

func (s *subject) opTryGo() { s.start(s.newTask(), "TryGo") }

func (s *subject) opStart() {
	t := s.newTask()
	t.background = s.script.flip()
	if s.script.flip() {
		t.name = fmt.Sprint("task ", len(s.tasks)-1)
	}
	s.start(t, "Start")
}

// live are the tasks that can be told something.
func (s *subject) live() []int {
	ids := slices.Concat(s.m.running, s.m.inline, s.m.serving)
	return slices.DeleteFunc(ids, s.m.waits)
}

// pick decodes one of some tasks.
func (s *subject) pick(ids []int) (id int, ok bool) {
	if len(ids) == 0 {
		return 0, false
	}
	return ids[s.script.n(len(ids))], true
}

func (s *subject) opEnd() {
	id, ok := s.pick(s.live())
	if !ok {
		return
	}
	s.end(id, way(max(0, s.script.n(2*int(ways))-int(ways)))) // half of them succeed
}

func (s *subject) end(id int, w way) {
	s.note("task %d ends as %d", id, w)
	s.m.end(id, w)
	s.tasks[id].orders <- order{end: w}
}

// opInside lets a task start another.
func (s *subject) opInside() {
	id, ok := s.pick(s.live())
	if !ok {
		return
	}
	t := s.newTask()
	method := []string{"Go", "TryGo", "Async"}[s.script.n(3)]
	s.note("inside %d:", id)
	s.tasks[id].orders <- order{do: func(context.Context) { s.start(t, method) }}
}

// opAwait lets a task, or somebody outside, wait for a future.
func (s *subject) opAwait() {
	var futures []int
	for id, t := range s.tasks {
		if t.future != nil {
			futures = append(futures, id)
		}
	}
	target, ok := s.pick(futures)
	if !ok {
		return
	}
	got := new(awaited)
	future := s.tasks[target].future
	call := func(ctx context.Context) {
		got.value, got.err = future.Await(ctx)
		got.returned = true
	}
	live := slices.DeleteFunc(s.live(), func(id int) bool { return s.tasks[id].background })
	by, inside := s.pick(live)
	if !inside || s.script.n(4) == 0 {
		s.note("Await(%d)", target)
		s.m.await(nobodyElse, target)
		s.awaits = append(s.awaits, got)
		go call(context.WithoutCancel(s.parent))
		return
	}
	s.note("inside %d: Await(%d)", by, target)
	s.m.await(by, target)
	s.tasks[target].inline.Store(s.m.tasks[target].host != nobodyElse)
	s.awaits = append(s.awaits, got)
	if s.script.flip() {
		s.tasks[by].orders <- order{do: call}
		return
	}
	s.tasks[by].orders <- order{do: func(ctx context.Context) {
		ctx, cancel := context.WithCancel(context.WithValue(ctx, key("x"), by))
		defer cancel()
		call(ctx)
	}}
}

func (s *subject) opTick() {
	if s.m.now+ms >= s.parentExpires {
		return
	}
	time.Sleep(ms)
	s.m.now += ms
}

// opContext asks the context what makes it do something.
func (s *subject) opContext() {
	ctx := s.g.Context()
	if s.script.flip() {
		if got, want := isClosed(ctx.Done()), s.m.contextErr(false) != nil; got != want {
			s.t.Errorf("done: %t, want %t", got, want)
		}
	}
	if got, want := context.Cause(ctx), s.m.contextCause(); want == nil && got != nil || !errors.Is(got, want) {
		s.t.Errorf("the cause is %v, want %v", got, want)
	}
	if got, want := isClosed(s.g.Done()), s.m.joined; got != want {
		s.t.Errorf("the group is done: %t, want %t", got, want)
	}
}

func (s *subject) opExpire() {
	if s.m.now >= s.parentExpires || s.script.n(4) != 0 {
		return
	}
	s.note("the parent expires")
	time.Sleep(s.parentExpires - s.m.now)
	synctest.Wait()
	s.m.now = s.parentExpires
	if s.parent.Err() == context.DeadlineExceeded {
		s.m.endParent(context.DeadlineExceeded, context.DeadlineExceeded)
	}
}

func (s *subject) opEndParent() {
	if s.parent.Err() != nil {
		return
	}
	s.note("the parent is cancelled")
	cause := ownError(-1000 - s.count)
	s.m.endParent(context.Canceled, cause)
	s.endParent(cause)
}

func (s *subject) opCancel() {
	var cause error
	if s.script.flip() {
		cause = ownError(-1000 - s.count)
	}
	s.cancel(cause)
}

func (s *subject) cancel(cause error) {
	s.note("Cancel(%v)", cause)
	s.m.cancel(cmp.Or(cause, taskgroup.ErrStopped))
	s.g.Cancel(cause)
}

// result calls something that waits for the group.
func (s *subject) result(f func() error) {
	e := new(ending)
	s.results = append(s.results, e)
	go func() {
		*e = end(f)
		s.returned.Add(1)
	}()
}

func (s *subject) opWait() {
	s.note("Wait")
	s.m.wait()
	s.result(s.g.Wait)
}

func (s *subject) opStop() {
	s.note("Stop")
	s.m.stop()
	s.result(s.g.Stop)
}

func (s *subject) opEndBody() {
	if !s.m.body {
		return
	}
	s.bodyWay = way(s.script.n(int(ways)))
	s.note("the body ends as %d", s.bodyWay)
	s.m.endBody(s.bodyWay, bodyError)
	s.body <- order{end: s.bodyWay}
}
