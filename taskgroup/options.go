package taskgroup

import (
	"fmt"
	"time"
)

// Unlimited is the limit that is none.
const Unlimited = -1

// A PanicPolicy says what becomes of a panic in a task; see [OnPanic].
type PanicPolicy uint8

const (
	// Propagate cancels the group and panics in the owner: Wait, Stop and Run panic with a [*PanicError], after
	// the other tasks have ended.
	Propagate PanicPolicy = iota
	// AsError makes a panic the failure of its task, a [*PanicError], and a [runtime.Goexit] [ErrGoexit].
	AsError
	// Crash lets a panic end the process at once.
	Crash
)

// An Option configures a group when it is made.
type Option interface{ apply(*config) }

// config is what the options of a group add up to. It does not change once the group is made, so that groups
// without options share one.
type config struct {
	name      string
	limit     int32 // the most workers at once; noLimit when there is no limit
	keepGoing bool
	maxErrors int
	onPanic   PanicPolicy
	echo      func(error) bool
	limiter   *Limiter
	discard   any // the func(T) of Discard

	grace      time.Duration
	stragglers func(Stragglers) // nil without Grace
}

// defaults is the configuration of all groups that are made without options.
var defaults = config{limit: noLimit, maxErrors: 16}

func newConfig(opts []Option) *config {
	if len(opts) == 0 {
		return &defaults
	}
	c := defaults
	for _, o := range opts {
		o.apply(&c)
	}
	return &c
}

type option func(*config)

func (o option) apply(c *config) { o(c) }

// Limit caps how many tasks of the group run at the same time; the others wait in a queue, in order. n is 1 or more,
// or [Unlimited], which is the default. Limit panics if it is anything else.
func Limit(n int) Option {
	if n < 1 && n != Unlimited {
		panic(fmt.Sprintf("taskgroup: Limit(%d): the limit is 1 or more, or Unlimited", n))
	}
	if n == Unlimited || n > noLimit {
		n = noLimit
	}
	return option(func(c *config) { c.limit = int32(n) })
}

// Name names the group in errors and reports.
func Name(name string) Option { return option(func(c *config) { c.name = name }) }

// KeepGoing lets the other tasks run on when one fails. All failures are reported, see [MaxErrors]. A panic still
// cancels the group unless it is [AsError].
func KeepGoing() Option { return option(func(c *config) { c.keepGoing = true }) }

// MaxErrors is how many failures a group keeps; the rest are counted in [Error.Dropped]. The default is 16.
// MaxErrors panics if n is less than 1.
func MaxErrors(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("taskgroup: MaxErrors(%d): at least 1 error is kept", n))
	}
	return option(func(c *config) { c.maxErrors = n })
}

// OnPanic says what becomes of a panic in a task. The default is [Propagate].
func OnPanic(p PanicPolicy) Option {
	if p > Crash {
		panic(fmt.Sprintf("taskgroup: OnPanic(%d): the policies are Propagate, AsError and Crash", p))
	}
	return option(func(c *config) { c.onPanic = p })
}

// Cancellation tells the group about errors that mean "cancelled" and that [errors.Is] cannot see, such as the status
// codes of an RPC system. It is asked about each part of an error that a task returned after the group had been
// cancelled, and may be called from several goroutines.
func Cancellation(is func(error) bool) Option {
	if is == nil {
		panic("taskgroup: Cancellation called with a nil function")
	}
	return option(func(c *config) { c.echo = is })
}

// Discard is called with each value that a function of this package produced and did not hand out: of the losers of
// [First] and [Quorum], of calls that [Stream] and [Ordered] did not yield because they were left, and of [Map] when it
// failed. T is the type of the results; those functions panic if it is not. A value that owns something, such as a
// connection, is released there. f may be called from several goroutines.
func Discard[T any](f func(T)) Option {
	if f == nil {
		panic("taskgroup: Discard called with a nil function")
	}
	return option(func(c *config) { c.discard = f })
}

// discardOf is the configured Discard for results of type T, nil without one.
func discardOf[T any](c *config) func(T) {
	if c.discard == nil {
		return nil
	}
	f, ok := c.discard.(func(T))
	if !ok {
		panic(fmt.Sprintf("taskgroup: Discard is a %T, but the results need a %T", c.discard, f))
	}
	return f
}
