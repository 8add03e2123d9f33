package flight

import (
	"context"
	"fmt"
	"time"
)

// TimeoutError is the failure of a load that had not succeeded when its Group's Timeout was over, and what
// [context.Cause] returns for the context of the load then. It is a timeout to everybody who asks: errors.Is finds
// [context.DeadlineExceeded] in it, and it implements net.Error.
type TimeoutError struct {
	// Key is the key of the load.
	Key any
	// Limit is the Timeout of the Group.
	Limit time.Duration
	// Err is what the load returned, nil in the cause of its context.
	Err error
}

// Error names the key and the limit, followed by the failure if there is one.
func (e *TimeoutError) Error() string {
	text := fmt.Sprintf("flight: load of %v: %v exceeded", e.Key, e.Limit)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *TimeoutError) Unwrap() error { return e.Err }

// Is makes errors.Is(e, context.DeadlineExceeded) hold.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout is true.
func (e *TimeoutError) Timeout() bool { return true }

// Temporary is true, as it is for context.DeadlineExceeded; a net.Error must have it.
func (e *TimeoutError) Temporary() bool { return true }
