package shutdown

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// answer is the server's own http.ResponseWriter, but for the header "Connection: close" that it adds at the last moment
// if the server is leaving by then. Set any earlier, handlers that upgrade the connection would find it among theirs;
// and the server's own way, SetKeepAlivesEnabled, closes idle connections on which requests may be under way.
//
// It and the two types on it have the methods of what net/http gives to handlers, so that these find what they look for.
type answer struct {
	http.ResponseWriter
	conn  *conn
	begun bool // the header has been written, or is none of ours
}

// announce is called before anything that writes the header.
func (a *answer) announce(code int) {
	if a.begun || code < http.StatusOK {
		return
	}
	a.begun = true
	// In this order: a drain that finds no keepAlive can be sure that the header says close.
	a.conn.keepAlive.Store(true)
	if a.conn.server.leaving.Load() {
		a.Header().Set("Connection", "close")
		a.conn.keepAlive.Store(false)
	}
}

func (a *answer) WriteHeader(code int) {
	a.announce(code)
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(p []byte) (int, error) {
	a.announce(http.StatusOK)
	return a.ResponseWriter.Write(p)
}

func (a *answer) WriteString(s string) (int, error) {
	a.announce(http.StatusOK)
	return io.WriteString(a.ResponseWriter, s)
}

func (a *answer) FlushError() error {
	a.announce(http.StatusOK)
	return a.ResponseWriter.(interface{ FlushError() error }).FlushError()
}

func (a *answer) Flush() { a.FlushError() } //nolint:errcheck // there is nobody to tell

func (a *answer) CloseNotify() <-chan bool {
	return a.ResponseWriter.(interface{ CloseNotify() <-chan bool }).CloseNotify()
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// answer1 is an answer in HTTP/1.
type answer1 struct{ answer }

func (a *answer1) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.begun = true // whatever it is, it is the handler's
	return a.ResponseWriter.(http.Hijacker).Hijack()
}

func (a *answer1) ReadFrom(r io.Reader) (int64, error) {
	a.announce(http.StatusOK)
	return a.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
}

// answer2 is an answer in HTTP/2.
type answer2 struct{ answer }

func (a *answer2) Push(target string, opts *http.PushOptions) error {
	return a.ResponseWriter.(http.Pusher).Push(target, opts)
}
