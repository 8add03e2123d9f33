package kit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

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
// A call that has panicked in an executor is panicked with, like a task of a group that h has joined: what deals with
// panics stands around it, see observe.Recover.
func Handler(log *slog.Logger, h func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if p, ok := errors.AsType[*executor.PanicError](err); ok {
			panic(p)
		}
		if err != nil {
			problem(log, r, err).Write(w)
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
			Detail: fmt.Sprintf("The budget %q of %v ran out.", spent.Name, max(0, spent.Limit.Round(time.Millisecond))),
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
