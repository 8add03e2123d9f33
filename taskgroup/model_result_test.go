package taskgroup_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/grove-go/grove/taskgroup"
)

// reports tells whether the joined group returns an error.
func (m *model) reports() bool {
	switch {
	case len(m.failures) > 0:
		return true
	case m.endedBy == theParent:
		return m.canceled > 0 || m.skipped > 0
	default:
		return m.cause != nil && !errors.Is(m.cause, taskgroup.ErrStopped)
	}
}

// differs tells how the result of a call of Wait, Stop or Run differs from that of the model, and "" if it does not. late
// is the failure that only this call tells of.
func (m *model) differs(got ending, late *modelFailure) string {
	switch {
	case m.panicked != nil:
		if p, ok := errors.AsType[*taskgroup.PanicError](asError(got.panicked)); !ok || p.Value != any(m.panicked) {
			return fmt.Sprintf("ended as %v, want a panic with %v", got, m.panicked)
		}
		return ""
	case m.goexit != got.goexit || got.panicked != nil:
		return fmt.Sprintf("ended as %v, want Goexit: %t", got, m.goexit)
	case m.goexit:
		return ""
	case !m.reports() && late == nil:
		if got.err != nil {
			return fmt.Sprintf("returned %+v, want nil", got.err)
		}
		return ""
	}
	e, ok := got.err.(*taskgroup.Error) //nolint:errorlint // itself and not wrapped
	if !ok {
		return fmt.Sprintf("returned %v, want an *Error", got.err)
	}
	return m.differsFrom(e, late)
}

func (m *model) differsFrom(e *taskgroup.Error, late *modelFailure) string {
	failures, dropped, cause := slices.Clip(m.failures), m.dropped, m.cause
	if late != nil {
		if !m.reports() && m.endedBy != theParent {
			cause = late.is
		}
		if len(failures) < m.maxErrors {
			failures = append(failures, *late)
		} else {
			dropped++
		}
	}
	if cause == nil {
		cause = failures[0].is
	}
	if !errors.Is(e.Cause, cause) {
		return fmt.Sprintf("cause %v, want %v", e.Cause, cause)
	}
	if m.parentErr != nil && !errors.Is(e, m.parentErr) {
		return fmt.Sprintf("%v is not %v", e, m.parentErr)
	}
	if got, want := [...]int{e.Dropped, e.Canceled, e.Skipped}, [...]int{dropped, m.canceled, m.skipped}; got != want && m.reports() {
		return fmt.Sprintf("dropped, canceled, skipped %v, want %v", got, want)
	}
	if len(e.Tasks) != len(failures) {
		return fmt.Sprintf("%d tasks in %+v, want %v", len(e.Tasks), e, failures)
	}
	for i, f := range failures {
		if t := e.Tasks[i]; t.Name != f.name || t.Elapsed != f.elapsed || !errors.Is(t.Err, f.is) {
			return fmt.Sprintf("task %d is %+v, want %+v", i, t, f)
		}
	}
	return ""
}
