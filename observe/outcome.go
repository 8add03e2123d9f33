package observe

import (
	"context"
	"errors"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/taskgroup"
)

// outcome is how a piece of work ended.
type outcome uint8

const (
	succeeded outcome = iota
	failed
	canceled
	panicked
	abandoned // a call whose caller has left
	outcomes
)

func (o outcome) String() string {
	return [outcomes]string{"ok", "error", "canceled", "panic", "abandoned"}[o]
}

// outcomeOf is the outcome of what returned err.
func outcomeOf(err error) outcome {
	switch e := err.(type) { //nolint:errorlint // what is inside of err did not end here
	case nil:
		return succeeded
	case *taskgroup.PanicError:
		return panicked
	case *executor.AbandonedError:
		return abandoned
	case *taskgroup.Error:
		if len(e.Tasks) == 0 && e.Dropped == 0 {
			return canceled
		}
	}
	return failed
}

// refusal is why a call was refused.
type refusal uint8

const (
	queueFull refusal = iota
	maxWait
	overloaded
	closed
	deadlineExceeded
	callerCanceled
	refusals
)

func (r refusal) String() string {
	return [refusals]string{"queue_full", "max_wait", "shed", "closed", "deadline", "canceled"}[r]
}

func refusalOf(err error) refusal {
	switch {
	case errors.Is(err, executor.ErrQueueFull):
		return queueFull
	case errors.Is(err, executor.ErrMaxWait):
		return maxWait
	case errors.Is(err, executor.ErrShed):
		return overloaded
	case errors.Is(err, executor.ErrClosed):
		return closed
	case errors.Is(err, context.DeadlineExceeded):
		return deadlineExceeded
	default:
		return callerCanceled
	}
}

// source is where a panic began.
type source uint8

const (
	inTask source = iota
	inCall
	inHandler
	inLogger
	sources
)

func (s source) String() string { return [sources]string{"task", "call", "handler", "logger"}[s] }
