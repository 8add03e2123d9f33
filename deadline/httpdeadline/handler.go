package httpdeadline

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/grove-go/grove/deadline"
)

// Handler returns a handler that gives the context of each request the deadline that its client has, as far as the
// policy allows, and then calls next. The budget's name is "request".
//
// The client says how long it waits in grpc-timeout, Connect-Timeout-Ms, X-Envoy-Expected-Rq-Timeout-Ms or
// Request-Timeout-Ms; of several the shortest counts, and what is malformed is ignored. If no time is left, next is not
// called. Then, and if next returns after the deadline without having answered, the answer is 504 Gateway Timeout, or
// the status DEADLINE_EXCEEDED to a client of gRPC, with the header "Deadline-Expired: 1". Nothing else is changed:
// next runs on the request's goroutine and is waited for, and what it writes is neither held back nor cut off.
//
// Flush, Hijack and everything that [http.ResponseController] does work as without Handler. But the deadline of a
// request also ends its stream or its WebSocket, if that goes by the request's context: keep handlers that are meant to
// go on outside, or give them no Default and no Max.
//
// Handler panics if the policy has a negative duration. It costs a context with a deadline, a copy of the request and
// one small object for each request that has a limit, and nothing for others (BenchmarkHandler).
func Handler(next http.Handler, p Policy) http.Handler {
	p.validate()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		d, limited := p.allowed(r)
		if limited {
			var cancel context.CancelFunc
			ctx, cancel = deadline.With(ctx, "request", d)
			defer cancel()
		}
		switch {
		case isOver(ctx):
			answerExpired(w, r)
		case !limited:
			next.ServeHTTP(w, r)
		default:
			tracked := &writer{ResponseWriter: w}
			next.ServeHTTP(tracked.withHijack(), r.WithContext(ctx))
			if isOver(ctx) && !tracked.answered {
				answerExpired(w, r)
			}
		}
	})
}

// isOver tells whether ctx has a deadline and that has passed.
func isOver(ctx context.Context) bool {
	left, ok := deadline.Remaining(ctx)
	return ok && left <= 0
}

func answerExpired(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set(expired, "1")
	contentType := r.Header.Get("Content-Type")
	if !strings.HasPrefix(contentType, "application/grpc") {
		http.Error(w, "deadline exceeded", http.StatusGatewayTimeout)
		return
	}
	// A client of gRPC takes any other status than 200 for a failure of the transport: it would read Unavailable.
	h.Set("Content-Type", contentType)
	h.Set("Grpc-Status", "4") // DEADLINE_EXCEEDED
	h.Set("Grpc-Message", "deadline exceeded")
	w.WriteHeader(http.StatusOK)
}

// writer is a ResponseWriter that knows whether an answer has begun.
type writer struct {
	http.ResponseWriter
	answered bool
}

// Unwrap is how a ResponseController gets at what lies below.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(code int) {
	// The other informational ones may precede an answer but are none.
	if code >= 200 || code == http.StatusSwitchingProtocols {
		w.answered = true
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *writer) Write(b []byte) (int, error) {
	w.answered = true
	return w.ResponseWriter.Write(b)
}

func (w *writer) WriteString(s string) (int, error) {
	w.answered = true
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom keeps io.Copy from a file to a connection in the kernel: Copy asks the writer below in its turn. Where an
// answer is to begin, Write sees whether there is anything to begin it with, and gets as much as tells a content's type.
func (w *writer) ReadFrom(r io.Reader) (n int64, err error) {
	const sniffed = 512
	if !w.answered {
		n, err = io.Copy(struct{ io.Writer }{w}, io.LimitReader(r, sniffed))
		if n < sniffed || err != nil {
			return n, err
		}
	}
	rest, err := io.Copy(w.ResponseWriter, r)
	return n + rest, err
}

// Flush is for handlers that ask for an http.Flusher.
func (w *writer) Flush() { _ = w.FlushError() }

func (w *writer) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.answered = w.answered || err == nil
	return err
}

// withHijack is w with a Hijack method if one of the writers below has one, which a ResponseController would find behind
// w's back: with HTTP/2 there must not seem to be one.
func (w *writer) withHijack() http.ResponseWriter {
	for below := w.ResponseWriter; ; {
		switch b := below.(type) {
		case http.Hijacker:
			return hijackWriter{w}
		case interface{ Unwrap() http.ResponseWriter }:
			below = b.Unwrap()
		default:
			return w
		}
	}
}

type hijackWriter struct{ *writer }

func (w hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.answered = w.answered || err == nil
	return conn, buffered, err
}
