package shutdown

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// GRPC is the component of a gRPC server, which is a *grpc.Server, on a listener. It stops in two phases:
//
//   - Intake: new connections are refused as with [HTTP], and the listener closes.
//   - InFlight: clients are told to go away, and every RPC is waited for. Connections that have said nothing are closed
//     after a second. When the time is up all are, which ends the contexts of RPCs. The report has the stacks of handlers
//     that go on for more than a second after that.
//
// Contexts of RPCs are the server's own. For [Stopping] to work in them, which streams without an end need, let an
// interceptor, or the TagRPC of a stats.Handler, which is called for all kinds of RPC, return [App.Context] of them.
//
// GRPC owns s and ln from its Start on. The listener must be plain: TLS is among the credentials of s. It panics if s or ln
// is nil.
func GRPC(name string, s interface {
	Serve(ln net.Listener) error
	GracefulStop()
	Stop()
}, ln net.Listener,
) Component {
	if s == nil || ln == nil {
		panic("shutdown: GRPC needs a server and a listener")
	}
	conns := &rpcConns{open: make(map[*rpcConn]struct{})}
	l := newListener(ln, conns.admit)
	return Component{
		Name: name, Phase: InFlight,
		Run: func(context.Context) error { return l.serve(s.Serve) },
		Stop: func(ctx context.Context) error {
			defer close(l.drained)
			over := make(chan struct{})
			go func() {
				defer close(over)
				conns.unread.Wait()
				s.GracefulStop()
			}()
			silent := time.NewTimer(partGrace)
			defer silent.Stop()
			for {
				select {
				case <-over:
					return nil
				case <-silent.C:
					conns.close((*rpcConn).silent)
				case <-ctx.Done():
					// Stop waits, too, for those that are not established.
					conns.close(func(*rpcConn) bool { return true })
					s.Stop()
					<-over
					return cancelled(ctx)
				}
			}
		},
		intake: l.intake,
	}
}

// rpcConns are the connections of a gRPC server that are open. When it is told to stop it does two things that need them:
// it closes those that it has accepted and not yet begun to serve, so that the RPCs on their way to them would be lost; and
// it waits for those to be established which have said nothing, as those of probes do, for minutes.
type rpcConns struct {
	unread sync.WaitGroup // those that the server has not begun to read from
	mu     sync.Mutex
	open   map[*rpcConn]struct{} // guarded by mu
}

func (s *rpcConns) admit(nc net.Conn) net.Conn {
	s.unread.Add(1)
	c := &rpcConn{Conn: nc, conns: s, read: sync.OnceFunc(s.unread.Done)}
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.mu.Unlock()
	return c
}

// close closes connections under the server.
func (s *rpcConns) close(which func(*rpcConn) bool) {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, c := range all {
		if which(c) {
			c.Conn.Close() //nolint:errcheck // the server will find it closed
		}
	}
}

type rpcConn struct {
	net.Conn
	conns  *rpcConns
	read   func()
	spoken atomic.Bool // something has been read
}

func (c *rpcConn) silent() bool { return !c.spoken.Load() }

func (c *rpcConn) Read(p []byte) (int, error) {
	c.read()
	n, err := c.Conn.Read(p)
	if n > 0 && c.silent() {
		c.spoken.Store(true)
	}
	return n, err
}

func (c *rpcConn) Close() error {
	c.read()
	c.conns.mu.Lock()
	delete(c.conns.open, c)
	c.conns.mu.Unlock()
	return c.Conn.Close()
}

// NetConn returns the connection of the listener.
func (c *rpcConn) NetConn() net.Conn { return c.Conn }
