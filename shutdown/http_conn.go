package shutdown

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// partGrace is how long a drain waits for the rest of what has begun to arrive: a TLS handshake, a request's header.
// It is counted from the last byte.
const partGrace = time.Second

type connState int

const (
	waiting  connState = iota // for the first byte of a request
	arriving                  // has read some bytes, but no handler has been called
	busy                      // from the call of the handler until the server says that the connection is idle again
)

// conn is a connection that knows whether it may be closed without losing a request. The server's own states do not
// tell: StateActive comes after the header has been read, and before the server may still decide to drop it.
type conn struct {
	net.Conn
	server *httpServer

	// keepAlive tells that the header of the last answer has gone out without "Connection: close". Its client expects the
	// connection to stay open, from a moment that comes before the server says that it is idle.
	keepAlive atomic.Bool

	mu       sync.Mutex // guards the following; nothing is waited for under it
	state    connState
	since    time.Time // when it began to wait, or the last byte arrived
	requests int       // how many handlers run
	streams  bool      // HTTP/2: there is more than one, and net/http knows how to say goodbye
	closed   bool
	// lastCall makes the read deadline a past one, whatever deadline it is to have, until a byte arrives: the goroutine
	// that reads wakes, and looks a last time. Another goroutine could not look: between its look and its Close
	// the reader might take the first bytes of a request.
	lastCall bool
	deadline time.Time
}

type connKey struct{}

// connOf returns the conn that the server was given as c.
func connOf(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*conn)
}

// requestInFlight reports whether ctx is that of a connection on which a handler runs.
func requestInFlight(ctx context.Context) bool {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests > 0
}

// begin is called with each request.
func (c *conn) begin(protoMajor int) {
	c.mu.Lock()
	c.requests++
	c.state = busy
	c.streams = protoMajor > 1
	c.keepAlive.Store(false)
	c.recallLocked()
	c.mu.Unlock()
	if c.server.draining.Load() {
		c.server.grace()
		c.server.notify()
	}
}

// end is called when the handler has returned. Its answer may not have been written yet.
func (c *conn) end() {
	c.mu.Lock()
	c.requests--
	gone := c.closed && c.requests == 0
	c.mu.Unlock()
	if gone {
		c.server.forget(c)
	}
}

// wait is called when the answer has been written and the connection stays open.
func (c *conn) wait() {
	c.mu.Lock()
	c.state, c.since = waiting, time.Now()
	c.mu.Unlock()
	c.server.notify()
}

// serving reports whether a request has begun to arrive or is being served.
func (c *conn) serving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state != waiting || c.requests > 0
}

// expire sees to it that the connection is read from a last time, if it has waited for a request for long enough. Otherwise
// it returns how much time that has left. It reports whether the connection may receive another request in HTTP/1.
func (c *conn) expire(d drain) (left time.Duration, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left = noWait
	switch {
	case c.closed:
		return left, false
	case c.state == busy:
		return left, c.keepAlive.Load() && !c.streams
	case c.streams && d.told.IsZero():
		return left, false
	case c.lastCall: // the reader is about to see
		return left, !c.streams
	}
	from := d.began
	if c.streams {
		from = d.told
	}
	from = later(from, c.since)
	end := from.Add(IdleGrace)
	if c.state == arriving && !c.streams {
		end = later(end, c.since.Add(partGrace))
	} else if d.graced.After(from) {
		end = earlier(d.graced.Add(IdleGrace), from.Add(d.idleMax))
	}
	if end.After(d.now) && !d.expired {
		return end.Sub(d.now), !c.streams
	}
	c.lastCall = true
	c.Conn.SetReadDeadline(past) //nolint:errcheck // fails if the connection is closed, and that is as well
	return left, !c.streams
}

func later(t, u time.Time) time.Time {
	if t.After(u) {
		return t
	}
	return u
}

func earlier(t, u time.Time) time.Time {
	if t.Before(u) {
		return t
	}
	return u
}

// past is before every deadline.
var past = time.Unix(1, 0)

// recallLocked undoes the last call: something has come.
func (c *conn) recallLocked() {
	if c.lastCall {
		c.lastCall = false
		c.Conn.SetReadDeadline(c.deadline) //nolint:errcheck // the next read will tell
	}
}

// Read reads from the connection, and tells a request that has come in the last moment from none.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.lastCalled() {
		n, err = c.readLast(p)
	}
	if n > 0 {
		c.mu.Lock()
		if c.state != busy {
			c.state, c.since = arriving, time.Now()
		}
		c.recallLocked()
		c.mu.Unlock()
	}
	return n, err
}

func (c *conn) lastCalled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastCall
}

// readLast reads without waiting. Reads are refused while the deadline is a past one, even if they need not wait.
func (c *conn) readLast(p []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(time.Time{}); err != nil {
		return 0, err
	}
	n, err := readNow(c.Conn, p)
	if n == 0 {
		c.Conn.SetReadDeadline(past) //nolint:errcheck // whoever tries again must not wait either
	}
	return n, err
}

// SetReadDeadline sets the deadline, now or when something arrives after all.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.lastCall {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close closes the connection.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	gone := !c.closed && c.requests == 0
	c.closed = true
	c.mu.Unlock()
	if gone {
		c.server.forget(c)
	}
	return err
}

// NetConn returns the connection of the listener.
func (c *conn) NetConn() net.Conn { return c.Conn }

// CloseWrite closes one direction, as net/http does with a connection whose request it has not read to the end.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// ReadFrom lets the kernel send files.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	if to, ok := c.Conn.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}
