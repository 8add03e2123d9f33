package executor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/grove-go/grove/internal/fault"
)

// ErrNotStarted is matched by the error of every call whose fn was never called, so that trying again, here or
// elsewhere, repeats nothing. A call whose ctx ended before its turn gets it together with the ctx's cause.
var ErrNotStarted = errors.New("executor: call not started")

// ErrQueueFull is returned at once when there is no free slot for a call and no more calls may wait, or when [NoWait]
// forbids it.
// It matches [ErrNotStarted].
var ErrQueueFull error = refusal("executor: queue full")

// ErrMaxWait is returned for a call that has waited for a slot for [Config.MaxWait]. It matches [ErrNotStarted].
var ErrMaxWait error = refusal("executor: waited too long for a slot")

// ErrShed is returned for a call that is given up so that others get on: by [CoDel], because a call with a better claim
// needed its place in a full queue (see [Key] and [Priority]), or because every slot is stuck (see [Config.StuckAfter]).
// It matches [ErrNotStarted].
var ErrShed error = refusal("executor: call shed")

// ErrClosed is returned for calls that come after [Pool.Drain] or [Pool.Close], and for calls that still waited when
// it gave up. It matches [ErrNotStarted].
var ErrClosed error = refusal("executor: pool closed")

// ErrDraining is the cause with which [Pool.Drain] cancels the calls that run when its patience ends. It does not
// match [ErrNotStarted]: they had started.
var ErrDraining = errors.New("executor: running call cut short by drain")

// ErrGoexit is returned for a call whose fn ended in [runtime.Goexit] on a worker's goroutine.
var ErrGoexit = fault.ErrGoexit

// PanicError is returned for a call whose fn panicked. Its Task is the call's [Name].
type PanicError = fault.PanicError

// refusal is a reason why a call was not started.
type refusal string

func (r refusal) Error() string { return string(r) }

func (r refusal) Unwrap() error { return ErrNotStarted }

// notStarted is the error of a call whose ctx ended before its turn.
func notStarted(cause error) error {
	return fmt.Errorf("%w: %w", ErrNotStarted, cause)
}

// AbandonedError is returned to a caller that left while its fn was running: the operation may still happen, or may
// have happened. The call keeps its slot until fn returns; what fn returns then is dropped.
type AbandonedError struct {
	// Pool is the pool's name, and Name the call's: what [Name] said, or else the name of fn.
	Pool, Name string
	// Running is for how long fn had been running.
	Running time.Duration
	// Cause tells why the caller left: the cause of its ctx, or [ErrDraining].
	Cause error
}

func (e *AbandonedError) Error() string {
	return fmt.Sprintf("executor: abandoned %s on pool %q after %v: %v", e.Name, e.Pool, e.Running, e.Cause)
}

// Unwrap returns the cause.
func (e *AbandonedError) Unwrap() error { return e.Cause }

// DrainError lists the calls that [Pool.Drain] or [Pool.Close] had to leave behind.
type DrainError struct {
	// Pool is the pool's name.
	Pool string
	// Running are the calls that run still, those that run longest first. If there are none, it is a hook or OnStuck that
	// has not returned.
	Running []Running
	// Cause tells why Drain gave up: the cause of the ctx that ended.
	Cause error
}

// Running is a call that has not returned.
type Running struct {
	// Name is what [Name] said, or else the name of fn. Key is what [Key] said.
	Name, Key string
	// Age is for how long fn has been running.
	Age time.Duration
	// Stack is the stack of the goroutine that runs fn, followed by those of the goroutines it started. It is empty for a
	// call that runs on its caller's goroutine, fifty frames or more from either end of the stack: tracebacks leave them out.
	Stack []byte
}

func (e *DrainError) Error() string {
	if len(e.Running) == 0 {
		return fmt.Sprintf("executor: pool %q left a hook running: %v", e.Pool, e.Cause)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "executor: pool %q left %d running: ", e.Pool, len(e.Running))
	for i, r := range e.Running {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%v)", r.Name, r.Age)
	}
	fmt.Fprintf(&b, ": %v", e.Cause)
	return b.String()
}

// Unwrap returns the cause.
func (e *DrainError) Unwrap() error { return e.Cause }
