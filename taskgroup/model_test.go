package taskgroup_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/grove-go/grove/taskgroup"
)

// model is what a group does, if one thing happens after the other and each takes no time. After each call its state is
// the one in which nothing happens any more by itself: tasks run until they are told to end, except for those that heed
// the end of their context.
type model struct {
	limit, maxErrors int
	keepGoing        bool
	policy           taskgroup.PanicPolicy

	now     time.Duration
	tasks   []modelTask
	queue   []int // what was not taken off the queue: tasks that wait, or that an Await has taken first
	running []int // tasks that have a slot
	inline  []int // tasks that an Await runs
	serving []int // background tasks
	started int
	over    int

	awaits []*modelAwait

	body    bool          // Run's body has not ended
	late    *modelFailure // the body's, if the group was joined before
	waiters int           // calls of Wait and Stop, Run's among them

	// How the group has ended, if it has.
	endedBy   ender
	cause     error
	parentErr error
	stopped   bool // the background tasks have been told to stop
	joined    bool

	failures                   []modelFailure
	dropped, canceled, skipped int
	panicked                   error // the error of the task that did, which is the value
	goexit                     bool
}

type ender uint8

const (
	nobody ender = iota
	theGroup
	theParent
)

type modelTask struct {
	name       string
	background bool
	heeds      bool // ends when its context does
	echoes     bool // with an error that says so
	own        error
	begin      time.Duration
	state      modelState
	modelFuture
}

type modelState uint8

const (
	unstarted modelState = iota
	queued
	running
	over
)

type modelFailure struct {
	name    string
	is      error
	elapsed time.Duration
}

// ownError is the error of one task, or of one call of Cancel.
type ownError int

func (e ownError) Error() string { return fmt.Sprint("error ", int(e)) }

// way is how a task ends when it is told to.
type way uint8

const (
	succeeds way = iota
	fails
	returnsErr      // of its context
	returnsCause    // of its context
	returnsCanceled // whatever the state of its context
	returnsDeadline // likewise
	returnsBoth     // the error of its context and its own
	panicking
	exiting
	ways
)

// do ends a task.
func (w way) do(ctx context.Context, own error) error {
	switch w {
	case fails:
		return own
	case returnsErr:
		return ctx.Err()
	case returnsCause:
		return context.Cause(ctx)
	case returnsCanceled:
		return context.Canceled
	case returnsDeadline:
		return fmt.Errorf("late: %w", context.DeadlineExceeded)
	case returnsBoth:
		return errors.Join(ctx.Err(), own)
	case panicking:
		panic(own)
	case exiting:
		goexit()
	}
	return nil
}

func (m *model) ended() bool { return m.endedBy != nobody }

// contextErr is the error of the context of the tasks, or of the background tasks.
func (m *model) contextErr(background bool) error {
	switch {
	case background && m.stopped:
		return context.Canceled
	case background:
		return nil
	case m.endedBy == theParent:
		return m.parentErr
	case m.ended() || m.joined:
		return context.Canceled
	default:
		return nil
	}
}

// contextCause is an error that the cause of the context leads to.
func (m *model) contextCause() error {
	if !m.ended() && m.joined {
		return taskgroup.ErrStopped
	}
	return m.cause
}

func (m *model) cancel(cause error) {
	if !m.ended() && !m.joined {
		m.endedBy, m.cause = theGroup, cause
	}
	m.settle()
}

func (m *model) endParent(err, cause error) {
	if !m.ended() && !m.joined {
		m.endedBy, m.cause, m.parentErr = theParent, cause, err
	}
	m.settle()
}

// add is Go or, if try is set, TryGo, or Start. It returns whether a task was accepted by TryGo, and whether the call
// panics.
func (m *model) add(t modelTask, try bool) (accepted, panics bool) {
	defer m.settle()
	m.tasks = append(m.tasks, t)
	id := len(m.tasks) - 1
	m.tasks[id].host = nobodyElse
	switch {
	case m.joined:
		return false, !try
	case m.ended() || t.background && m.stopped:
		if !try {
			m.skipped++
		}
		return false, false
	case try && len(m.running)+len(m.queue) >= m.limit:
		return false, false
	case t.background:
		m.start(id)
		m.serving = append(m.serving, id)
	default:
		m.tasks[id].state = queued
		m.queue = append(m.queue, id)
	}
	return true, false
}

func (m *model) start(id int) {
	m.tasks[id].state = running
	m.tasks[id].begin = m.now
	m.started++
}

// end tells a task to end in some way.
func (m *model) end(id int, w way) {
	ends := []int{id}
	if w == exiting {
		ends = m.stack(id)
	}
	for _, id := range ends {
		m.resolve(id, w)
		if w == panicking || w == exiting {
			m.blur(id)
		}
	}
	m.resolveAwaits()
	for _, id := range ends {
		t := &m.tasks[id]
		f := modelFailure{name: t.name}
		if t.name != "" {
			f.elapsed = m.now - t.begin
		}
		m.report(f, w, t.own, t.background)
	}
	m.settle()
}

// resolve takes a task off what runs.
func (m *model) resolve(id int, w way) {
	t := &m.tasks[id]
	t.state = over
	t.resolve(w, m.contextErr(t.background), m.contextCause())
	m.over++
	is := func(other int) bool { return other == id }
	m.running = slices.DeleteFunc(m.running, is)
	m.inline = slices.DeleteFunc(m.inline, is)
	m.serving = slices.DeleteFunc(m.serving, is)
}

// endBody tells the body to end in some way, after which Run waits.
func (m *model) endBody(w way, own error) {
	m.body = false
	m.waiters++
	switch {
	case w == panicking || w == exiting:
		m.cancel(taskgroup.ErrStopped)
	case m.joined:
		body := modelTask{own: own}
		if body.resolve(w, m.contextErr(false), m.contextCause()); body.is != nil {
			m.late = &modelFailure{is: body.is}
		}
	default:
		m.report(modelFailure{}, w, own, false)
		m.settle()
	}
}

func (m *model) report(f modelFailure, w way, own error, background bool) {
	ctxErr := m.contextErr(background)
	echo := false
	switch w {
	case succeeds:
		return
	case fails, returnsBoth:
		f.is = own
	case returnsErr, returnsCause:
		if ctxErr == nil {
			return // the error is nil
		}
		echo = true
	case returnsCanceled:
		f.is, echo = context.Canceled, ctxErr != nil
	case returnsDeadline:
		f.is, echo = context.DeadlineExceeded, errors.Is(ctxErr, context.DeadlineExceeded)
	case panicking:
		if m.policy == taskgroup.Propagate {
			if m.panicked == nil {
				m.panicked = own
			}
			m.cancel(own)
			return
		}
		f.is = own
	case exiting:
		if m.policy == taskgroup.Propagate {
			m.goexit = true
			if !m.keepGoing {
				m.cancel(taskgroup.ErrGoexit)
			}
			return
		}
		f.is = taskgroup.ErrGoexit
	}
	if echo {
		if !background {
			m.canceled++
		}
		return
	}
	if len(m.failures) < m.maxErrors {
		m.failures = append(m.failures, f)
	} else {
		m.dropped++
	}
	if !m.keepGoing {
		m.cancel(f.is)
	}
}

func (m *model) wait() {
	m.waiters++
	m.settle()
}

func (m *model) stop() {
	m.waiters++
	if len(m.running)+len(m.queue)+len(m.serving) > 0 {
		m.cancel(taskgroup.ErrStopped)
	}
	m.settle()
}

// settle lets happen what happens by itself.
func (m *model) settle() {
	if m.ended() {
		for _, id := range m.queue {
			if t := &m.tasks[id]; t.state == queued {
				m.skipped++
				t.state = unstarted
			}
		}
		m.queue = nil
	}
	m.resolveAwaits()
	for m.ended() && m.heed(append(slices.Clone(m.running), m.inline...)) {
		m.resolveAwaits() // and those that have waited may heed the end, too
	}
	for len(m.queue) > 0 && len(m.running) < m.limit {
		id := m.queue[0]
		m.queue = m.queue[1:]
		if m.tasks[id].state == queued {
			m.start(id)
			m.running = append(m.running, id)
		}
	}
	if m.waiters == 0 || len(m.running) > 0 || m.joined {
		return
	}
	if len(m.serving) > 0 {
		m.stopped = true
		m.heed(slices.Clone(m.serving))
	}
	m.joined = len(m.serving) == 0
}

// heed ends those of the tasks that heed the end of their context. It reports whether there were any.
func (m *model) heed(ids []int) (some bool) {
	for _, id := range ids {
		t := m.tasks[id]
		if !t.heeds || m.waits(id) {
			continue
		}
		some = true
		if !t.echoes {
			m.resolve(id, succeeds)
			continue
		}
		m.resolve(id, returnsCause)
		if !t.background {
			m.canceled++
		}
	}
	return some
}
