// Package httpdeadline carries the deadline of a context over HTTP, from a client to the service that it calls.
//
// # Usage
//
// A service gives each request the time that its client has, within bounds, and passes on what is left of it:
//
//	handler := httpdeadline.Handler(mux, httpdeadline.Policy{Default: 300 * time.Millisecond, Max: time.Second})
//	client := &http.Client{Transport: httpdeadline.Transport(nil, httpdeadline.Policy{Margin: 5 * time.Millisecond})}
//
// What travels is the time that remains, not a point in time, so clocks need not agree; the way itself is not counted,
// which is what [Policy].Margin is for. These headers are understood:
//
//	grpc-timeout                    clients of gRPC and gRPC-Web: digits and a unit
//	Connect-Timeout-Ms              clients of Connect
//	X-Envoy-Expected-Rq-Timeout-Ms  set by Envoy for the service behind it
//	Request-Timeout-Ms              set by Transport
//
// # Guarantees
//
// A handler is not called, and a request not sent, when there is no time left for it. A deadline never grows on its
// way: of several headers the shortest counts, fractions of a millisecond are dropped, and a client that is not trusted
// can ask for less than the Default but not for more. A malformed value is as good as none, and reported to
// Policy.Malformed.
//
// Nothing is buffered: requests and answers stream, connections are hijacked, and http.ResponseController works as
// without this package. No goroutine is started.
//
// # Cancellation
//
// A handler learns from its request's context that time is over or that the client has hung up; it is never abandoned.
// If it returns after the deadline without having answered, the client is told so by a status of 504 and the header
// "Deadline-Expired: 1", which Transport turns into an error on its side.
//
// # Panics
//
// A handler's panic passes through. A policy with a negative duration panics when it is given to [Handler] or
// [Transport].
//
// # Cost
//
// Handler costs one deadline.With and a copy of the request, less than half of what http.TimeoutHandler does
// (BenchmarkHandler); Transport costs a copy of the request and its header (BenchmarkTransport). Requests without a
// deadline cost nothing.
//
// # Testing
//
// Handler and Transport work with net/http/httptest's recorder, and with testing/synctest if nothing is dialled.
package httpdeadline
