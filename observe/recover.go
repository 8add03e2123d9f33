package observe

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"

	"go.opentelemetry.io/otel/attribute"

	"github.com/grove-go/grove/internal/fault"
)

// Recover returns a handler that calls h with the context of [Observer.Context] and answers 500 for it if it panics, or if
// a task of one of its groups does. Each panic is counted once and has one record in the log, with the stack of where it
// began.
//
// If the answer has begun there is no way to say so, and the connection is closed: Recover panics with
// [http.ErrAbortHandler]. It lets an ErrAbortHandler of h pass, and says nothing about it. h's [http.ResponseWriter] can
// flush and be hijacked if the one that it stands for can.
func (o *Observer) Recover(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx := o.Context(r.Context()); ctx != r.Context() {
			r = r.WithContext(ctx)
		}
		answer := &answer{ResponseWriter: w}
		defer func() {
			value := recover()
			switch {
			case value == nil:
				return
			case isAbort(value):
				panic(value)
			}
			p := fault.Recovered(value, "")
			o.panicked(r.Context(), inHandler, p, slog.String("method", r.Method), slog.String("path", r.URL.Path))
			if span := recording(r.Context()); span != nil {
				recordFailure(span, p, p, []attribute.KeyValue{attribute.Bool("exception.escaped", true)})
			}
			if answer.begun {
				panic(http.ErrAbortHandler)
			}
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		}()
		h.ServeHTTP(answer, r)
	})
}

// answer notes whether an answer has begun.
type answer struct {
	http.ResponseWriter
	begun bool
}

func (a *answer) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		a.begun = true // others are only announcements
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// ReadFrom lets files be sent without their being copied through the process.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	a.begun = true
	return io.Copy(a.ResponseWriter, r)
}

// Flush implements [http.Flusher].
func (a *answer) Flush() {
	a.begun = true
	_ = http.NewResponseController(a.ResponseWriter).Flush() // a Flusher has no way to say that it cannot
}

// Hijack implements [http.Hijacker].
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	a.begun = a.begun || err == nil
	return conn, rw, err
}

// Unwrap lets an [http.ResponseController] reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
