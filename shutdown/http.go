package shutdown

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// IdleGrace is how long a drain of [HTTP] leaves an idle connection open for one more request. It begins again when a
// request comes over any connection, because its client or proxy may choose this one for the next, and when the machine is
// too busy to keep to it; but a connection that has been idle in a drain for a second is closed. That second grows by what
// the drain itself is late.
const IdleGrace = 50 * time.Millisecond

const (
	// idleMax is how long IdleGrace can become, while the drain wakes in time.
	idleMax = time.Second
	// graceTick is how often a drain that waits for the end of an IdleGrace looks whether it wakes in time, and graceLate how
	// late it may be. If later, others have not run either, and may be about to send.
	graceTick, graceLate = IdleGrace / 5, IdleGrace / 5
	// noWait stands for no connection whose time is known.
	noWait = time.Hour
)

// HTTP is the component of an HTTP server on a listener. It stops in three phases without losing a request:
//
//   - Announce: answers say "Connection: close" from now on, which tells HTTP/2 connections to go away, too.
//     Connections are still accepted.
//   - Intake: new connections are refused, those that clients believe to be open are accepted from the listener's queue,
//     and the listener closes. This takes 2 ms. Only a *net.TCPListener or *net.UnixListener has such a queue.
//   - InFlight: every connection is waited for until it is closed, hijacked ones included. One that is idle may begin
//     one more request within [IdleGrace]; then it is read from once more, without waiting, and closed if nothing has
//     come. Idle HTTP/2 connections are told to go away as soon as none in HTTP/1 is idle, and have IdleGrace from then;
//     their clients know that what they send meanwhile is not served, and send it again elsewhere.
//
// The wait ends within 5 ms of the end of the last request, or of the last connection's IdleGrace if that comes later.
// A request whose handler has left more than 256 KiB of its body unread, or has hit the limit of an http.MaxBytesReader,
// ends half a second after its answer: so long net/http keeps the connection of a client that may still be sending, which
// would lose the answer otherwise. Where clients need longer than that for their next request, Config.DrainDelay gives
// them time.
//
// The context of requests is that of the component's Run. It has the values of App.Run's context, [Stopping] and
// [App.Track] work with it, and it ends only when the wait is over or out of time. So handlers finish what they have
// begun, and streams, which have no end of their own, must select on Stopping. When the time is up requests are
// cancelled, a second later connections are closed, and the report has the stacks of the handlers that still run.
//
// HTTP owns s and ln from its Start on. The listener must be plain: with s.TLSConfig set, TLS is served on it. A socket
// that other processes listen on too, as with socket activation or a handover to a successor, must be hidden from it, as
// struct{ net.Listener }{ln}: refusing connections, which on Linux is a property of the socket, would refuse theirs. Such
// a listener is only closed, and loses nothing by it, because its queue is theirs as well.
//
// s.Handler is wrapped. s.BaseContext, s.ConnContext and s.ConnState are called as ever, but the net.Conn that they and
// Hijack hand out, or that a *tls.Conn stands on, wraps the listener's, which its method NetConn returns. Functions given
// to s.RegisterOnShutdown are called when no connection is idle any more. HTTP panics if s or ln is nil.
func HTTP(name string, s *http.Server, ln net.Listener) Component {
	if s == nil || ln == nil {
		panic("shutdown: HTTP needs a server and a listener")
	}
	h := &httpServer{server: s}
	h.listener = newListener(ln, h.admit)
	return Component{
		Name: name, Phase: InFlight,
		Start: h.start, Run: h.run, Stop: h.stop, Kill: h.kill,
		announce: h.announce, intake: h.listener.intake,
	}
}

// httpServer serves and drains an http.Server. Server.Shutdown would drop the requests that it finds between their
// first byte and their handler, and those on their way to connections that it closes as idle; it forgets hijacked
// connections, and polls. So it is called only when no client is to expect another answer and none of this can hurt.
type httpServer struct {
	server   *http.Server
	handler  http.Handler // the server's own
	listener *listener

	leaving  atomic.Bool     // answers say so
	hard     context.Context // of requests; set by run, before there are any
	draining atomic.Bool
	cut      atomic.Bool   // a request ended later than hard
	changed  chan struct{} // has a value if a connection has changed while draining
	graced   atomic.Int64  // when IdleGrace began again while draining, in ns of Unix time

	mu    sync.Mutex
	conns map[*conn]struct{} // guarded by mu: those that are open or have a handler running
}

func (h *httpServer) start(context.Context) error {
	h.changed = make(chan struct{}, 1)
	h.conns = make(map[*conn]struct{})

	s := h.server
	h.handler = s.Handler
	if h.handler == nil {
		h.handler = http.DefaultServeMux
	}
	s.Handler = http.HandlerFunc(h.serve)
	connContext, connState := s.ConnContext, s.ConnState
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		ctx = context.WithValue(ctx, connKey{}, connOf(c))
		if connContext != nil {
			ctx = connContext(ctx, c)
		}
		return ctx
	}
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			connOf(c).wait()
		}
		if connState != nil {
			connState(c, state)
		}
	}
	return nil
}

func (h *httpServer) run(hard context.Context) error {
	s := h.server
	h.hard = hard
	baseContext := s.BaseContext
	s.BaseContext = func(ln net.Listener) context.Context {
		if baseContext == nil {
			return hard
		}
		ctx, cancel := context.WithCancelCause(baseContext(ln))
		context.AfterFunc(hard, func() { cancel(context.Cause(hard)) })
		return &merged{Context: ctx, hard: hard}
	}
	if s.TLSConfig != nil {
		return h.listener.serve(func(ln net.Listener) error { return s.ServeTLS(ln, "", "") })
	}
	return h.listener.serve(s.Serve)
}

// merged has the values of both contexts, and the end that Context has been given.
type merged struct {
	context.Context
	hard context.Context
}

func (m *merged) Value(key any) any {
	if v := m.Context.Value(key); v != nil {
		return v
	}
	return m.hard.Value(key)
}

// serve is the handler of the server.
func (h *httpServer) serve(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*conn)
	c.begin(r.ProtoMajor)
	defer func() {
		if h.draining.Load() && h.hard.Err() != nil {
			h.cut.Store(true)
		}
		c.end()
	}()
	a := answer{ResponseWriter: w, conn: c}
	if r.ProtoMajor == 1 {
		a1 := &answer1{a}
		h.handler.ServeHTTP(a1, r)
		a1.announce(http.StatusOK)
	} else {
		a2 := &answer2{a}
		h.handler.ServeHTTP(a2, r)
		a2.announce(http.StatusOK)
	}
}

func (h *httpServer) announce(context.Context) error {
	h.leaving.Store(true)
	return nil
}

// stop waits until no connection is open and no handler runs. It does not return at the end of ctx: that is also when
// the requests are cancelled, and they have a second to notice.
func (h *httpServer) stop(ctx context.Context) error {
	defer close(h.listener.drained)
	d := drain{began: time.Now(), idleMax: idleMax}
	h.draining.Store(true)
	timer := time.NewTimer(0)
	defer timer.Stop()
	expired := ctx.Done()
	for {
		d.now, d.graced = time.Now(), time.Unix(0, h.graced.Load())
		left, open, next := h.sweep(d)
		if open == 0 && d.told.IsZero() {
			d.told = d.now
			next = 0
			ended, cancel := context.WithCancel(ctx)
			cancel()
			// It tells HTTP/2 connections to go away, and does not wait because its context has ended.
			h.server.Shutdown(ended) //nolint:errcheck // its error is that end
		}
		if left == 0 {
			break
		}
		if next < noWait {
			next = min(next, graceTick)
		}
		wake := d.now.Add(next)
		timer.Reset(time.Until(wake))
		select {
		case <-h.changed:
		case <-timer.C:
		case <-expired:
			expired, d.expired = nil, true
			if h.serving() {
				h.cut.Store(true)
			}
		}
		if late := time.Since(wake); late > graceLate {
			h.grace()
			d.idleMax += late
		}
	}
	if h.cut.Load() {
		return cancelled(ctx)
	}
	return nil
}

// cancelled is the error of a server that ran out of time.
func cancelled(ctx context.Context) error {
	return fmt.Errorf("requests were cancelled: %w", context.Cause(ctx))
}

// serving reports whether any connection does more than to wait for a request.
func (h *httpServer) serving() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		if c.serving() {
			return true
		}
	}
	return false
}

// drain is what decides how long connections may wait for a request.
type drain struct {
	now, began time.Time
	told       time.Time     // when HTTP/2 connections were told to go away, zero if they have not been
	graced     time.Time     // when IdleGrace began again, for all of them
	idleMax    time.Duration // with the time added by which the drain has been late
	expired    bool
}

// sweep ends the wait of connections whose time is up. It returns how many connections are left, how many of them are open to
// another request in HTTP/1, and when the time of the next is up.
func (h *httpServer) sweep(d drain) (left, open int, next time.Duration) {
	next = noWait
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		wait, again := c.expire(d)
		next = min(next, wait)
		if again {
			open++
		}
	}
	return len(h.conns), open, next
}

func (h *httpServer) admit(nc net.Conn) net.Conn {
	c := &conn{Conn: nc, server: h, since: time.Now()}
	h.mu.Lock()
	h.conns[c] = struct{}{}
	h.mu.Unlock()
	return c
}

func (h *httpServer) forget(c *conn) {
	h.mu.Lock()
	delete(h.conns, c)
	h.mu.Unlock()
	h.notify()
}

// grace makes IdleGrace begin again.
func (h *httpServer) grace() { h.graced.Store(time.Now().UnixNano()) }

// notify makes stop look again.
func (h *httpServer) notify() {
	if h.draining.Load() {
		select {
		case h.changed <- struct{}{}:
		default:
		}
	}
}

func (h *httpServer) kill() error {
	h.mu.Lock()
	conns := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		conns = append(conns, c)
	}
	h.mu.Unlock()
	// These first: a *tls.Conn takes its time to say goodbye, but not on a connection that is closed.
	for _, c := range conns {
		c.Close() //nolint:errcheck // what matters is that it is gone
	}
	if err := h.server.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
