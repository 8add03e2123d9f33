package httpdeadline

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// The headers in which a client says how long it waits, in the form that http.Header has for its keys.
const (
	grpcTimeout    = "Grpc-Timeout"
	connectTimeout = "Connect-Timeout-Ms"
	envoyTimeout   = "X-Envoy-Expected-Rq-Timeout-Ms"
	requestTimeout = "Request-Timeout-Ms"
)

// expired is set to 1 in the answer to a request whose time is over.
const expired = "Deadline-Expired"

// formats are the headers and how each is read.
var formats = [...]struct {
	header string
	parse  func(string) (time.Duration, bool)
}{
	{grpcTimeout, parseGRPC},
	{connectTimeout, parseMilliseconds},
	{envoyTimeout, parseMilliseconds},
	{requestTimeout, parseMilliseconds},
}

// asked is how long the client of r waits, and false if it does not say. A proxy adds a header of its own to those that
// it passes on, so there can be several: whoever gives up first decides.
func (p *Policy) asked(r *http.Request) (time.Duration, bool) {
	shortest, found := time.Duration(math.MaxInt64), false
	for i := range formats {
		f := &formats[i]
		for _, value := range r.Header[f.header] {
			if d, ok := f.parse(value); ok {
				shortest, found = min(shortest, d), true
			} else if p.Malformed != nil {
				p.Malformed(r, f.header, value)
			}
		}
	}
	return shortest, found
}

// allowed is how much time r gets, and false if nothing limits it.
func (p *Policy) allowed(r *http.Request) (time.Duration, bool) {
	d, ok := p.asked(r)
	if p.Default > 0 && (!ok || !p.Trust) {
		d, ok = min(d, p.Default), true
	}
	if p.Max > 0 {
		d, ok = min(d, p.Max), true
	}
	return d, ok
}

// parseGRPC reads the value of grpc-timeout: one to eight digits and a unit.
func parseGRPC(value string) (time.Duration, bool) {
	if len(value) < 2 {
		return 0, false
	}
	n, ok := digits(value[:len(value)-1], 8)
	if !ok {
		return 0, false
	}
	var unit time.Duration
	switch value[len(value)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	if n > math.MaxInt64/int64(unit) {
		return math.MaxInt64, true // 292 years of the 11,000 that it can ask for
	}
	return time.Duration(n) * unit, true
}

// parseMilliseconds reads one to ten digits, the form that Connect prescribes.
func parseMilliseconds(value string) (time.Duration, bool) {
	n, ok := digits(value, 10)
	return time.Duration(n) * time.Millisecond, ok
}

// digits is the value of a string of one to limit decimal digits.
func digits(s string, limit int) (int64, bool) {
	if len(s) == 0 || len(s) > limit {
		return 0, false
	}
	var n int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// milliseconds is d as parseMilliseconds reads it. The fraction of a millisecond is cut off, never added, and d is at
// most what ten digits hold.
func milliseconds(d time.Duration) string {
	return strconv.FormatInt(min(d.Milliseconds(), 9_999_999_999), 10)
}
