package servicetest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Proxy is a TCP connection between a server and its client that can be broken.
type Proxy struct {
	// Addr is where clients connect.
	Addr string

	ctx    context.Context
	target string
	ln     net.Listener
	done   sync.WaitGroup

	mu      sync.Mutex
	cond    sync.Cond // of mu; tells that mode has changed
	mode    mode
	members map[net.Conn]struct{} // both ends of each connection
}

type mode int

const (
	open mode = iota
	stalled
	cut
)

// NewProxy returns an open proxy to target. It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &Proxy{Addr: ln.Addr().String(), ctx: t.Context(), target: target, ln: ln, members: map[net.Conn]struct{}{}}
	p.cond.L = &p.mu
	p.done.Go(p.accept)
	t.Cleanup(func() {
		shut(ln)
		p.set(cut)
		p.done.Wait()
	})
	return p
}

// Cut closes all connections, and new ones as soon as they are made, as when the server is killed.
func (p *Proxy) Cut() { p.set(cut) }

// Stall keeps connections and takes new ones, but lets no byte through, as when the server hangs.
func (p *Proxy) Stall() { p.set(stalled) }

// Open lets everything through again.
func (p *Proxy) Open() { p.set(open) }

func (p *Proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	p.cond.Broadcast()
	if m == cut {
		for c := range p.members {
			shut(c)
		}
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		server, err := new(net.Dialer).DialContext(p.ctx, "tcp", p.target)
		if err != nil {
			shut(client)
			continue
		}
		p.mu.Lock()
		p.members[client], p.members[server] = struct{}{}, struct{}{}
		if p.mode == cut {
			shut(client, server)
		}
		p.mu.Unlock()
		p.done.Go(func() { p.pump(client, server) })
		p.done.Go(func() { p.pump(server, client) })
	}
}

// shut closes what is broken on purpose, or by its peer: that it fails means no more than that.
func shut(closers ...io.Closer) {
	for _, c := range closers {
		c.Close() //nolint:errcheck // see above
	}
}

// pump moves what one end sends to the other until either is closed, and then closes both.
func (p *Proxy) pump(from, to net.Conn) {
	defer func() {
		shut(from, to)
		p.mu.Lock()
		delete(p.members, from)
		delete(p.members, to)
		p.mu.Unlock()
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		for p.mode == stalled {
			p.cond.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
