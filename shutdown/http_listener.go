package shutdown

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// handshakeGrace is how long a socket that refuses new connections waits for those that have begun.
const handshakeGrace = 2 * time.Millisecond

// listener is a net.Listener that can be closed without losing the connections that it has not accepted.
type listener struct {
	net.Listener
	admit   func(net.Conn) net.Conn
	closing atomic.Bool
	served  chan struct{} // closed when the server has returned from Accept for the last time
	drained chan struct{} // closed by the server's component when nothing is in flight any more

	// Used by Accept alone, which Serve calls from one goroutine: what was in the queue when the listener closed.
	emptied bool
	rest    []net.Conn
}

func newListener(ln net.Listener, admit func(net.Conn) net.Conn) *listener {
	return &listener{Listener: ln, admit: admit, served: make(chan struct{}), drained: make(chan struct{})}
}

// serve is the Run of a component: it serves until intake, and then waits for the end of what is in flight. The goroutines
// of connections were started by its own. As long as this lives a report finds them.
func (l *listener) serve(serve func(net.Listener) error) error {
	err := func() error {
		defer close(l.served)
		return serve(l)
	}()
	if !l.closing.Load() {
		return err
	}
	<-l.drained
	return nil
}

// intake is a component's hook of that phase.
func (l *listener) intake(ctx context.Context) error {
	if err := l.finish(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	select {
	case <-l.served:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// socket is a listener whose descriptor can be had.
type socket interface {
	net.Listener
	syscall.Conn
}

// finish makes Accept return the connections that clients have opened until now, and then net.ErrClosed. The goroutine
// in Accept empties the queue and closes the listener itself: nothing has to wake up between the two.
//
// Listeners of other types are only closed. They may embed one of these, and do more in Accept than it does; or stand
// for a socket that is not this process's alone.
func (l *listener) finish() error {
	l.closing.Store(true)
	switch ln := l.Listener.(type) {
	case *net.TCPListener:
		if err := refuse(ln); err != nil {
			return err
		}
		return ln.SetDeadline(time.Now().Add(handshakeGrace))
	case *net.UnixListener:
		return ln.SetDeadline(past)
	default:
		return ln.Close()
	}
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	if !l.emptied {
		c, err := l.Listener.Accept()
		if err == nil {
			return l.admit(c), nil
		}
		if !l.closing.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
		l.emptied, l.rest = true, acceptRest(l.Listener.(socket))
	}
	if len(l.rest) == 0 {
		return nil, net.ErrClosed
	}
	c := l.rest[0]
	l.rest = l.rest[1:]
	return l.admit(c), nil
}
