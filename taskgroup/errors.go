package taskgroup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/grove-go/grove/internal/fault"
)

// PanicError is a panic of a task. Its Stack is that of the goroutine that panicked.
type PanicError = fault.PanicError

var (
	// ErrStopped is the cause of a group that was ended by Stop, by Cancel(nil), by leaving it early or by its
	// having been joined. A group that ended for no other reason reports no error.
	ErrStopped = errors.New("taskgroup: stopped")

	// ErrGoexit is what a task that called [runtime.Goexit] failed with.
	ErrGoexit = fault.ErrGoexit
)

// Error is the only type of error that Wait, Stop and Run return. [errors.Is] and [errors.As] see the cause and
// every listed failure; compare with them, never with ==.
type Error struct {
	// Group is the group's name, empty if it has none.
	Group string
	// Cause is why the group ended: the first failure, what Cancel was given, or the cause of the parent's
	// cancellation. Under [KeepGoing] it is the first failure unless the group was cancelled.
	Cause error
	// Tasks are the failures in the order in which they happened, without the tasks that merely stopped because the
	// group had been cancelled.
	Tasks []*TaskError
	// Dropped counts failures beyond [MaxErrors], Canceled tasks that stopped because the group had been
	// cancelled, and Skipped tasks that were never started for that reason.
	Dropped, Canceled, Skipped int

	// parentErr is the Err of the parent's context when its cancellation is the cause: a cause of its own does not
	// have to say that it is one.
	parentErr error
}

// Error is one line: the group, its first failure or its cause, and how many more there were.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Group != "" {
		b.WriteString(e.Group)
		b.WriteString(": ")
	}
	more := e.Dropped
	if len(e.Tasks) > 0 {
		b.WriteString(firstLine(e.Tasks[0]))
		more += len(e.Tasks) - 1
	} else {
		b.WriteString(firstLine(e.Cause))
	}
	var rest []string
	for _, c := range []struct {
		n    int
		what string
	}{{more, "more"}, {e.Canceled, "canceled"}, {e.Skipped, "skipped"}} {
		if c.n > 0 {
			rest = append(rest, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if len(rest) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(rest, "; "))
	}
	return b.String()
}

// Unwrap returns the cause and then the failures.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 2+len(e.Tasks))
	for _, err := range []error{e.Cause, e.parentErr} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	for _, t := range e.Tasks {
		errs = append(errs, t)
	}
	return errs
}

// Format prints the one line of Error, and for the verb %+v a tree: the cause, then each failure with its function,
// file and line, the groups inside it and the stacks of panics.
func (e *Error) Format(s fmt.State, verb rune) {
	if verb != 'v' || !s.Flag('+') {
		fmt.Fprintf(s, fmt.FormatString(dropPlus{s}, verb), e.Error())
		return
	}
	io.WriteString(s, e.Error())
	if e.Cause != nil && (len(e.Tasks) == 0 || !errors.Is(e.Tasks[0].Err, e.Cause)) {
		fmt.Fprintf(s, "\n  cause: %s", indent(fmt.Sprintf("%+v", e.Cause)))
	}
	for _, t := range e.Tasks {
		where := ""
		if t.File != "" {
			where = fmt.Sprintf(" (%s:%d)", t.File, t.Line)
		}
		fmt.Fprintf(s, "\n  %s", indent(fmt.Sprintf("%s%s: %+v", t.title(), where, t.Err)))
	}
}

// TaskError is the failure of one task.
type TaskError struct {
	// Name is the task's name, empty unless [Group.Start] was given one.
	Name string
	// Func, File and Line tell which function the task ran and where its code begins. For a method value, whose code
	// is made by the compiler, File is empty.
	Func, File string
	Line       int
	// Err is what the task returned, a [*PanicError], or [ErrGoexit].
	Err error
	// Elapsed is how long the task ran. It is zero for a task without a name: reading the clock would cost more than
	// a small task.
	Elapsed time.Duration
	// Observed tells that hooks were told of the failure when it happened; see [WithHooks]. They are not told of that
	// of a body, which is no task.
	Observed bool
}

// Error is the task's name, or its function when it has none, and the error.
func (e *TaskError) Error() string {
	if e.Err == nil {
		return e.title() + ": " + firstLine(nil)
	}
	return e.title() + ": " + e.Err.Error()
}

// Unwrap returns the task's error.
func (e *TaskError) Unwrap() error { return e.Err }

func (e *TaskError) title() string { return title(e.Name, e.Func) }

// CancelError is the [context.Cause] of a group that ended by itself: by a failure, Cancel or Stop. It is both a
// cancellation, errors.Is(err, [context.Canceled]), and its cause: clients such as net/http return the cause of their
// context, and a task that merely stopped must not look as if it had failed with the error of another.
type CancelError struct {
	// Group is the group's name, empty if it has none.
	Group string
	// Cause is the first failure, or what Cancel was given.
	Cause error
}

// Error says that the group was cancelled, and why.
func (e *CancelError) Error() string {
	name := e.Group
	if name == "" {
		name = "taskgroup"
	}
	return name + " canceled: " + firstLine(e.Cause)
}

// Is reports whether target is [context.Canceled].
func (e *CancelError) Is(target error) bool { return target == context.Canceled }

// Unwrap returns the cause.
func (e *CancelError) Unwrap() error { return e.Cause }

// firstLine is the text of err without the stacks and lists that some errors carry below it.
func firstLine(err error) string {
	if err == nil {
		return "no error"
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func indent(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }

// dropPlus is a fmt.State without the plus flag: the verbs of strings would print %+s as %+q.
type dropPlus struct{ fmt.State }

func (d dropPlus) Flag(c int) bool { return c != '+' && d.State.Flag(c) }
