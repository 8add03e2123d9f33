package httpdeadline

import (
	"fmt"
	"net/http"
	"time"
)

// Policy bounds the time of requests that [Handler] receives and [Transport] sends; each reads its own fields.
type Policy struct {
	// Max is the most that a request received is given, whatever it asks for and also if it asks for nothing; 0 means
	// that nothing limits it. Handler reads it.
	Max time.Duration
	// Default is what a request received is given that does not say how long its client waits; 0 means Max. Unless the
	// client is to be trusted, it is also the most that it can ask for. Handler reads it.
	Default time.Duration
	// Trust lets clients ask for more than Default. Set it behind services of one's own, not at the edge. Handler reads
	// it.
	Trust bool
	// Malformed, if set, is called for each value of a header that is ignored because it is not of the form that its
	// protocol prescribes: it is the place to count them. Handler calls it on the request's goroutine.
	Malformed func(r *http.Request, header, value string)

	// Margin is what Transport keeps for itself of the time left, so that the other side's answer that time is over
	// comes back in time.
	Margin time.Duration
	// Min is how long the other side needs for an answer that is worth sending the request: with less left, after the
	// Margin, Transport does not send it. 0 means 1 ms, the least that can be sent.
	Min time.Duration
}

// validate panics if a duration is negative.
func (p *Policy) validate() {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"Max", p.Max}, {"Default", p.Default}, {"Margin", p.Margin}, {"Min", p.Min}} {
		if f.value < 0 {
			panic(fmt.Sprintf("httpdeadline: Policy.%s is negative: %v", f.name, f.value))
		}
	}
}
