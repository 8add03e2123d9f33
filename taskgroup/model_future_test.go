package taskgroup_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/grove-go/grove/taskgroup"
)

// modelFuture is what is known of a task that is a future.
type modelFuture struct {
	host  int   // the task whose Await runs this one, or nobodyElse
	value bool  // it has returned a value
	is    error // what its error leads to, nil for none
}

// nobodyElse is the host of a task that runs on its own, and who awaits outside of all tasks.
const nobodyElse = -1

// modelAwait is a call of Await.
type modelAwait struct {
	by, target int
	over       bool
	byContext  bool // ended with the context of by
	either     bool // the end of the target and that of the context came together: the call may have seen either
	cut        bool // a Goexit went through it
}

// resolve tells the future how its task has ended, under a context with that error and cause.
func (t *modelTask) resolve(w way, ctxErr, cause error) {
	t.value = true
	switch w {
	case succeeds:
	case fails, returnsBoth:
		t.is = t.own
	case returnsErr:
		t.is = ctxErr
	case returnsCause:
		if ctxErr != nil {
			t.is = cause
		}
	case returnsCanceled:
		t.is = context.Canceled
	case returnsDeadline:
		t.is = context.DeadlineExceeded
	case panicking:
		t.value, t.is = false, t.own
	case exiting:
		t.value, t.is = false, taskgroup.ErrGoexit
	}
}

// await is a call of Await by a task or by nobodyElse.
func (m *model) await(by, target int) {
	m.awaits = append(m.awaits, &modelAwait{by: by, target: target})
	if t := &m.tasks[target]; by != nobodyElse && t.state == queued && m.contextErr(false) == nil {
		t.host = by
		m.start(target)
		m.inline = append(m.inline, target)
	}
	m.settle()
}

// waits reports whether a task is in Await.
func (m *model) waits(id int) bool {
	return slices.ContainsFunc(m.awaits, func(a *modelAwait) bool { return !a.over && a.by == id })
}

// stack is a task and those below it on its goroutine, whose Awaits a Goexit cuts.
func (m *model) stack(id int) []int {
	stack := []int{id}
	for host := m.tasks[id].host; host != nobodyElse; host = m.tasks[host].host {
		for _, a := range m.awaits {
			if a.by == host && !a.over {
				a.over, a.cut = true, true
			}
		}
		stack = append(stack, host)
	}
	return stack
}

// blur notes that the group learns of the end of a task before its future does.
func (m *model) blur(target int) {
	for _, a := range m.awaits {
		if !a.over && a.target == target && a.by != nobodyElse && a.by != m.tasks[target].host {
			a.either = true
		}
	}
}

// resolveAwaits ends the calls of Await that have nothing to wait for any more.
func (m *model) resolveAwaits() {
	for _, a := range m.awaits {
		t := m.tasks[a.target]
		switch {
		case a.over:
		case t.state == over || t.state == unstarted:
			a.over = true
		case a.by != nobodyElse && a.by != t.host && m.contextErr(false) != nil:
			a.over, a.byContext, a.either = true, true, t.heeds
		}
	}
}

// awaitDiffers tells how the result of an Await differs from that of the model, and "" if it does not.
func (m *model) awaitDiffers(a *modelAwait, got *awaited) string {
	if a.cut || !a.over {
		if got.returned {
			return fmt.Sprintf("has returned, but was cut: %t", a.cut)
		}
		return ""
	}
	byContext := got.value == 0 && got.err != nil && errors.Is(got.err, m.contextCause())
	byTarget := byContext
	if t := m.tasks[a.target]; t.state == over {
		value := 0
		if t.value {
			value = a.target + 1
		}
		byTarget = got.value == value && errors.Is(got.err, t.is)
	}
	if got.returned && (byTarget && !a.byContext || byContext && a.byContext || a.either && (byTarget || byContext)) {
		return ""
	}
	return fmt.Sprintf("returned %t %d, %v; want %+v of %+v", got.returned, got.value, got.err, *a, m.tasks[a.target])
}
