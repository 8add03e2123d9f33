// Package fault turns the two ways in which a function call can end without returning, a panic and
// runtime.Goexit, into values that can be carried to another goroutine.
package fault

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
)

// ErrGoexit stands for a call that ended in [runtime.Goexit], as testing.T.FailNow does. Such a call has no
// result, so it is never taken for a success.
var ErrGoexit = errors.New("runtime.Goexit was called")

// PanicError is a recovered panic.
type PanicError struct {
	// Value is what was passed to panic.
	Value any
	// Stack is the stack of the goroutine that panicked, as [debug.Stack] formats it, beginning with the frame
	// that called panic.
	Stack []byte
	// Task names the work that panicked; empty when it has no name.
	Task string
}

// Recovered makes the PanicError of a value that recover returned. It must be called by the deferred function
// itself or below it, while the frames that panicked are still on the stack. A *PanicError is returned as it is:
// the panic has crossed a goroutine already, and the first stack is the one that tells where it began.
func Recovered(value any, task string) *PanicError {
	if p, ok := value.(*PanicError); ok {
		return p
	}
	return &PanicError{Value: value, Stack: trim(debug.Stack()), Task: task}
}

// Error is the panic's value on the first line, followed by the stack: it is what the runtime prints when the
// error is panicked with again and nobody recovers.
func (e *PanicError) Error() string {
	return e.Summary() + "\n\n" + string(e.Stack)
}

// Summary is the first line of [PanicError.Error].
func (e *PanicError) Summary() string {
	if e.Task == "" {
		return fmt.Sprintf("panic: %v", e.Value)
	}
	return fmt.Sprintf("panic in %s: %v", e.Task, e.Value)
}

// Unwrap returns the panic's value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// trim removes the frames between the goroutine's header and the panicking one: debug.Stack, the deferred function
// and the runtime's panic. A stack without a panic frame is returned whole.
func trim(stack []byte) []byte {
	header, frames, ok := bytes.Cut(stack, []byte("\n"))
	if !ok {
		return stack
	}
	// The first "panic(" is the one that is being recovered. A panic that it replaced, or one that was unwinding when
	// this call began, lies below it and stays.
	i := bytes.Index(frames, []byte("\npanic("))
	if i < 0 {
		return stack
	}
	rest := frames[i+1:]
	for range 2 { // panic's own two lines
		_, rest, ok = bytes.Cut(rest, []byte("\n"))
		if !ok {
			return stack
		}
	}
	return slices.Concat(header, []byte("\n"), rest)
}

// abortMessage is the text of net/http's ErrAbortHandler.
const abortMessage = "net/http: abort Handler"

// Rethrown is what to panic with on behalf of e: e itself, or net/http's ErrAbortHandler as it is, because the
// server compares it with ==. It is known by its text so that no package has to import net/http for it.
func (e *PanicError) Rethrown() any {
	if err, ok := e.Value.(error); ok && fmt.Sprint(err) == abortMessage { // fmt survives errors that panic
		return err
	}
	return e
}
