package httpdeadline

import (
	"errors"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/grove-go/grove/deadline"
)

// Transport returns a RoundTripper that tells the other side how long there is still to wait, and otherwise does what
// base does, http.DefaultTransport if that is nil. What is left of the request's context, less the Margin and rounded
// down to milliseconds, goes into the header Request-Timeout-Ms, in place of one that is there. A request without a
// deadline is passed on as it is.
//
// With less than Min left after the Margin, nothing is dialled and sent, and the error is the [*deadline.Error] of
// [deadline.Require]. An answer with the header "Deadline-Expired: 1", as [Handler] gives, becomes an error too: a
// *deadline.Error with the other side's host as its name and the time that it had been given as its limit.
//
// The RoundTripper never changes the request that it is given, closes its body if it does not send it, and has a
// CloseIdleConnections that calls base's. Transport panics if the policy has a negative duration. It costs a copy of
// the request and its header (BenchmarkTransport).
func Transport(base http.RoundTripper, p Policy) http.RoundTripper {
	p.validate()
	if base == nil {
		base = http.DefaultTransport
	}
	need := max(p.Min, time.Millisecond)
	need += min(p.Margin, math.MaxInt64-need)
	return &transport{base: base, margin: p.Margin, need: need}
}

type transport struct {
	base         http.RoundTripper
	margin, need time.Duration // need includes the margin
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if _, ok := ctx.Deadline(); !ok {
		return t.base.RoundTrip(r)
	}
	if err := deadline.Require(ctx, t.need); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	// The clock has gone on since Require. Should that be by all that was left, a 0 is sent and answered by 504.
	left, _ := deadline.Remaining(ctx)
	left = max(left-t.margin, 0).Truncate(time.Millisecond)

	sent := r.WithContext(ctx)
	sent.Header = r.Header.Clone()
	if sent.Header == nil {
		sent.Header = make(http.Header, 1)
	}
	sent.Header[requestTimeout] = []string{milliseconds(left)}
	res, err := t.base.RoundTrip(sent)
	if err != nil || res.Header.Get(expired) != "1" {
		return res, err
	}
	_, _ = io.CopyN(io.Discard, res.Body, 1<<10) // a short body read to its end leaves the connection usable
	_ = res.Body.Close()
	return nil, &deadline.Error{Name: r.URL.Host, Limit: left, Err: errors.New(res.Status)}
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
