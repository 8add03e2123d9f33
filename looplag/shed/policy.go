package shed

import (
	"cmp"
	"fmt"
	"net/http"
	"time"
)

// A Priority says which requests are refused first.
type Priority uint8

const (
	// Normal requests are refused when refusing Sheddable ones is not enough. It is what a request without a priority
	// has.
	Normal Priority = iota
	// Sheddable requests are refused first: those that somebody repeats anyway, or that nobody waits for.
	Sheddable
	// Critical requests are never refused: health checks, what operators use, streams that stay for long and would only
	// come back.
	Critical

	priorities = iota
)

// String returns the name of the priority as metrics write it, such as "normal".
func (p Priority) String() string {
	if p >= priorities {
		return fmt.Sprintf("priority(%d)", uint8(p))
	}
	return [priorities]string{Normal: "normal", Sheddable: "sheddable", Critical: "critical"}[p]
}

// Policy says what to refuse and when. The zero Policy suits servers whose requests compute for up to some milliseconds.
type Policy struct {
	// Target is how long requests wait before they run while the server has more to do than it can: the queue that is
	// kept so that it never runs out of work. It should be several times what a request computes, and small beside
	// what a client waits. A higher one refuses later, for longer waits. 0 means 25 ms; it must be at least 10 ms
	// and at most a minute.
	Target time.Duration
	// MinVolume is how many requests a second, Critical ones apart, there must be before one is refused: few requests are
	// not why a server is late. 0 means 20; it must be at least 1.
	MinVolume int
	// Priority says how much a request matters; it is called by [Shedder.Middleware] for each. nil means that all are
	// Normal.
	Priority func(*http.Request) Priority
	// RetryAfter is after which time clients are told to come back, in the mean: each is told another one, from half to
	// one and a half times as long in whole seconds, so that they do not come together. 0 means 2 s; it must be
	// at least 2 s and at most an hour.
	RetryAfter time.Duration
}

// complete returns the policy with its defaults. It panics if a field is out of its bounds.
func (p Policy) complete() Policy {
	p.Target = cmp.Or(p.Target, 25*time.Millisecond)
	p.MinVolume = cmp.Or(p.MinVolume, 20)
	p.RetryAfter = cmp.Or(p.RetryAfter, 2*time.Second)
	if p.Priority == nil {
		p.Priority = func(*http.Request) Priority { return Normal }
	}
	atLeast("Target", p.Target, 10*time.Millisecond)
	atLeast("MinVolume", p.MinVolume, 1)
	atLeast("RetryAfter", p.RetryAfter, 2*time.Second)
	atMost("Target", p.Target, time.Minute)
	atMost("RetryAfter", p.RetryAfter, time.Hour) // each of its values is kept
	return p
}

func atLeast[T cmp.Ordered](field string, value, bound T) {
	if value < bound {
		panic(fmt.Sprintf("shed: Policy.%s is %v, must be at least %v", field, value, bound))
	}
}

func atMost(field string, value, bound time.Duration) {
	if value > bound {
		panic(fmt.Sprintf("shed: Policy.%s is %v, must be at most %v", field, value, bound))
	}
}
