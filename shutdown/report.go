package shutdown

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Report says what an App does, and how it ended. As an error it is what Run returns when something went wrong; its text has a line for
// everything that did, with the stacks of what is stuck.
type Report struct {
	// Reason is what asked the app to stop, in words; empty while nothing has.
	Reason string
	// Cause is the failure that did: that of a Start or Run, or what Shutdown was given. It is nil if the app was asked
	// by a signal, by the end of Run's context, or by the return of every Run.
	Cause error
	// Forced is the third signal; nil if there was none.
	Forced os.Signal
	// Took is the time from that request to the end of the last phase, and Deadline when that has to be.
	Took     time.Duration
	Deadline time.Time
	// Phases are those of the stop that have begun.
	Phases []PhaseInfo
	// Components are those of the app, in the order in which they stop; nil before Run.
	Components []ComponentInfo
	// Steps are the calls of hooks, and tracked work that runs or was stuck, in the order in which they began.
	Steps []Step

	// culprit is the step that has failed with Cause, as hookName has it; empty if none has.
	culprit string
}

// Step is the call of one hook.
type Step struct {
	// Component is its name. Tracked work has a step of its own if it had not ended in time, under the name
	// that Track was given.
	Component string
	Phase     Phase
	// Hook is Start, Run, Stop or Kill; Announce or Intake for what HTTP does before its Stop; Track for tracked work.
	Hook  string
	Began time.Time
	// Running tells that it has neither returned nor been given up on.
	Running bool
	// Took is how long it lasted, or has so far; until it was given up on if it is Stuck.
	Took time.Duration
	// Err is what it returned, or a [*PanicError]. It is nil for what is no failure: the end of a context that the
	// app had ended itself, returned by Run, or by a Start that a stop interrupted.
	Err error
	// Stuck tells that it had not returned in time, nor after its component's context had ended.
	Stuck bool
	// Stack has the stacks of its goroutine and of those which that had started, if it is Stuck. For tracked work it
	// has the callers of Track.
	Stack []byte
}

// Report returns what has happened so far, and what happens now: components that are "starting" or "stopping" are those
// that the app waits for, and their running steps tell in what. It is complete when Run has returned, and
// shows the order and the durations of a stop in which nothing went wrong, too. Its cost grows with the number of
// components and of what is tracked.
func (a *App) Report() *Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &Report{Reason: a.reason, Cause: a.cause, culprit: a.culprit, Forced: a.forced, Phases: slices.Clone(a.phases)}
	if isClosed(a.stopping) {
		r.Deadline = a.stoppedAt.Add(a.config.Timeout)
		r.Took = time.Since(a.stoppedAt)
	}
	if !a.ended.IsZero() {
		r.Took = a.ended.Sub(a.stoppedAt)
	}
	for i := range r.Phases {
		if p := &r.Phases[i]; p.Running {
			p.Took = time.Since(p.Began)
		}
	}
	for _, c := range a.order {
		r.Components = append(r.Components, ComponentInfo{Name: c.Name, Phase: c.Phase, Needs: slices.Clone(c.Needs), State: c.state})
	}
	for _, h := range a.everythingLocked() {
		s := h.step
		if s.Running {
			s.Took = time.Since(s.Began)
		}
		r.Steps = append(r.Steps, s)
	}
	slices.SortStableFunc(r.Steps, func(s, t Step) int { return s.Began.Compare(t.Began) })
	return r
}

// unfinished returns the hooks and the tracked work that have not ended.
func (a *App) unfinished() []*hook {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(a.everythingLocked(), func(h *hook) bool { return !h.step.Running })
}

// everythingLocked returns all hooks, and the tracked work that has not ended or was stuck.
func (a *App) everythingLocked() []*hook {
	all := slices.Clone(a.hooks)
	for _, h := range a.tracker.left() {
		if h.step.Running {
			all = append(all, h)
		}
	}
	return all
}

// failure returns r as an error if anything went wrong.
func (r *Report) failure() error {
	if r.ok() {
		return nil
	}
	return r
}

func (r *Report) ok() bool {
	if r.Cause != nil || r.Forced != nil {
		return false
	}
	for _, s := range r.Steps {
		if s.failed() {
			return false
		}
	}
	return true
}

func (s Step) failed() bool { return s.Err != nil || s.Stuck }

// indent makes lines after the first stand below it.
func indent(text string) string {
	text = strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n\t")
	return strings.ReplaceAll(text, "\n\t\n", "\n\n")
}

// Error says why the app stopped and, on a line each, what failed or is stuck, followed by its stacks.
func (r *Report) Error() string {
	var b strings.Builder
	b.WriteString("shutdown: ")
	b.WriteString(r.Reason)
	if r.Cause != nil {
		fmt.Fprintf(&b, ": %s", indent(r.Cause.Error()))
	}
	if r.Forced != nil {
		fmt.Fprintf(&b, "; forced by signal %v after %v", r.Forced, r.Took)
	}
	for _, s := range r.Steps {
		switch {
		case s.Stuck:
			fmt.Fprintf(&b, "\n%s (%v): %s is stuck after %v%s", s.Component, s.Phase, s.Hook, s.Took, indent("\n"+string(s.Stack)))
		case s.Err != nil && hookName(s.Component, s.Hook) != r.culprit: // that one is told of by the first line
			fmt.Fprintf(&b, "\n%s (%v): %s: %s", s.Component, s.Phase, s.Hook, indent(s.Err.Error()))
		}
	}
	return b.String()
}

// Unwrap returns the cause and the errors of all steps, so that [errors.Is] and [errors.As] find them.
func (r *Report) Unwrap() []error {
	var errs []error
	if r.Cause != nil {
		errs = append(errs, r.Cause)
	}
	for _, s := range r.Steps {
		if s.Err != nil {
			errs = append(errs, s.Err)
		}
	}
	return errs
}

// ExitCode is what a process should exit with, given what Run returned: 0 for nil, 128 + n if the signal n forced the
// end, 124 if anything was stuck when its time was up, as timeout(1) has it, and 1 for every other error.
func ExitCode(err error) int {
	r, ok := errors.AsType[*Report](err)
	switch {
	case err == nil:
		return 0
	case !ok:
		return 1
	case r.Forced != nil:
		return 128 + number(r.Forced)
	}
	for _, s := range r.Steps {
		if s.Stuck {
			return 124
		}
	}
	if r.ok() {
		return 0
	}
	return 1
}
