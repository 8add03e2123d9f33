package shutdown

import (
	"context"
	"net"
	"sync"
)

// GRPC is the component of a gRPC server, which is a *grpc.Server, on a listener. It stops in two phases:
//
//   - Intake: new connections are refused as with [HTTP], and the listener closes.
//   - InFlight: clients are told to go away, and every RPC is waited for. When the time is up connections are closed, which
//     ends the contexts of RPCs. The report has the stacks of handlers that go on for more than a second after that.
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
	var unread sync.WaitGroup
	l := newListener(ln, func(c net.Conn) net.Conn {
		unread.Add(1)
		return &unreadConn{Conn: c, read: sync.OnceFunc(unread.Done)}
	})
	return Component{
		Name: name, Phase: InFlight,
		Run: func(context.Context) error { return l.serve(s.Serve) },
		Stop: func(ctx context.Context) error {
			defer close(l.drained)
			over := make(chan struct{})
			go func() {
				defer close(over)
				unread.Wait()
				s.GracefulStop()
			}()
			select {
			case <-over:
				return nil
			case <-ctx.Done():
				s.Stop()
				<-over
				return cancelled(ctx)
			}
		},
		intake: l.intake,
	}
}

// unreadConn calls read when the server has read from it or closed it. A gRPC server that is told to stop closes the
// connections that it has accepted and not yet begun to serve, and the RPCs on their way to them would be lost.
type unreadConn struct {
	net.Conn
	read func()
}

func (c *unreadConn) Read(p []byte) (int, error) {
	c.read()
	return c.Conn.Read(p)
}

func (c *unreadConn) Close() error {
	c.read()
	return c.Conn.Close()
}

// NetConn returns the connection of the listener.
func (c *unreadConn) NetConn() net.Conn { return c.Conn }
