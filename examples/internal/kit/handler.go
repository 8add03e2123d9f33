package kit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/executor"
)

// Handler answers requests with h, which writes the answer or returns an error, but not both. An error becomes a
// [Problem]:
//
//   - a *Problem is itself;
//   - a *deadline.Error is 504 and names the budget that ran out;
//   - executor.ErrNotStarted is 503: the server has more to do than it can;
//   - any other is 503 too, since what the server depends on has failed it, and is logged unless the request
//     was cancelled: its client has left, or the server has no more time to stop.
//
// A panic of h, of a task of a group it has joined, or of a call it has given to an executor is logged with the stack
// of where it began and becomes a 500. If the answer has begun already, the connection is closed instead, so that
// the client does not take the torn answer for a whole one.
func Handler(log *slog.Logger, h func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tracked := &writer{ResponseWriter: w}
		defer func() {
			if v := recover(); v != nil {
				failed(log, tracked, r, v)
			}
		}()
		err := h(tracked, r)
		if p, ok := errors.AsType[*executor.PanicError](err); ok {
			panic(p)
		}
		if err != nil {
			problem(log, r, err).Write(tracked)
		}
	})
}

// problem is what err means to the client.
func problem(log *slog.Logger, r *http.Request, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if spent, ok := errors.AsType[*deadline.Error](err); ok {
		return &Problem{
			Status: http.StatusGatewayTimeout,
			Detail: fmt.Sprintf("The budget %q of %v ran out.", spent.Name, spent.Limit),
			Budget: spent.Name,
		}
	}
	if errors.Is(err, executor.ErrNotStarted) {
		return &Problem{Status: http.StatusServiceUnavailable, Detail: "The server is too busy."}
	}
	if r.Context().Err() == context.Canceled {
		return &Problem{Status: http.StatusServiceUnavailable, Detail: "The request was cancelled."}
	}
	log.ErrorContext(r.Context(), "request failed", "method", r.Method, "url", r.URL.Redacted(), "error", err)
	return &Problem{Status: http.StatusServiceUnavailable, Detail: "Something that the server depends on has failed."}
}

// failed logs the panic v and answers for the handler. It is called while the panicking frames are still there.
func failed(log *slog.Logger, w *writer, r *http.Request, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // how a handler asks for the connection to be closed; not a failure
	}
	stack := debug.Stack()
	if p, ok := v.(*executor.PanicError); ok {
		v, stack = p.Value, p.Stack // it began on another goroutine
	}
	log.ErrorContext(r.Context(), "panic", "method", r.Method, "url", r.URL.Redacted(), "value", v, "stack", string(stack))
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	(&Problem{Status: http.StatusInternalServerError, Detail: "The server has a defect. It was logged."}).Write(w)
}

// writer notes whether the answer has begun.
type writer struct {
	http.ResponseWriter
	begun bool
}

func (w *writer) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets an http.ResponseController reach the connection.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
