package shutdown_test

import (
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

// pipes is a listener for bubbles.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(t *testing.T) *client {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return newClient(t, ours)
}

// wait asks for an answer that takes some time.
func (c *client) wait(d time.Duration) {
	c.t.Helper()
	c.send("GET /?wait="+d.String()+" HTTP/1.1", "Host: x", "", "")
}

// inSite runs f in a bubble in which a server, at the end of the pipes, answers requests of client.get and client.wait.
// It is asked to stop after a second.
func inSite(t *testing.T, f func(t *testing.T, w *world, p *pipes)) {
	t.Helper()
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		p := newPipes()
		w.Add(shutdown.HTTP("http", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if d, err := time.ParseDuration(r.FormValue("wait")); err == nil {
				time.Sleep(d)
			}
			w.Write([]byte("ok"))
		})}, p))
		f(t, w, p)
	})
}

// requireDrain runs the app to its end, and requires that it takes that long after the second at which it is asked to.
func (w *world) requireDrain(t *testing.T, took time.Duration) {
	t.Helper()
	require.NoError(t, w.run())
	require.Equal(t, time.Second+took, w.elapsed())
}

func TestDrainWithoutConnectionsTakesNoTime(t *testing.T) {
	inSite(t, func(t *testing.T, w *world, _ *pipes) { w.requireDrain(t, 0) })
}

func TestDrainEndsWithTheLastRequest(t *testing.T) {
	inSite(t, func(t *testing.T, w *world, p *pipes) {
		for _, d := range []time.Duration{1500 * time.Millisecond, 5 * time.Second} {
			w.clients.Go(func() {
				c := p.dial(t)
				c.wait(d)
				require.True(t, c.answer().Close)
				c.requireClosed()
			})
		}
		w.requireDrain(t, 4*time.Second)
	})
}

func TestDrainClosesIdleConnectionsAfterTheIdleGrace(t *testing.T) {
	for name, use := range map[string]func(c *client){
		"used":   func(c *client) { c.get(); require.False(c.t, c.answer().Close) },
		"unused": func(*client) {},
	} {
		t.Run(name, func(t *testing.T) {
			inSite(t, func(t *testing.T, w *world, p *pipes) {
				w.clients.Go(func() {
					c := p.dial(t)
					use(c)
					c.requireClosed()
				})
				w.requireDrain(t, shutdown.IdleGrace)
			})
		})
	}
}

func TestDrainServesOneMoreRequestOfAnIdleConnection(t *testing.T) {
	inSite(t, func(t *testing.T, w *world, p *pipes) {
		w.clients.Go(func() {
			c := p.dial(t)
			c.get()
			require.False(t, c.answer().Close)
			time.Sleep(time.Second + shutdown.IdleGrace - 1)
			c.wait(3 * time.Second)
			require.True(t, c.answer().Close)
			c.requireClosed()
		})
		w.requireDrain(t, shutdown.IdleGrace-1+3*time.Second)
	})
}

func TestDrainGivesIdleConnectionsAnotherIdleGraceWhenARequestComesOverAnyOfThem(t *testing.T) {
	inSite(t, func(t *testing.T, w *world, p *pipes) {
		w.clients.Go(func() {
			c := p.dial(t)
			c.requireClosed()
			require.Equal(t, time.Second+2*shutdown.IdleGrace-1, w.elapsed())
		})
		w.clients.Go(func() {
			c := p.dial(t)
			time.Sleep(time.Second + shutdown.IdleGrace - 1)
			c.get()
			require.True(t, c.answer().Close)
		})
		w.requireDrain(t, 2*shutdown.IdleGrace-1)
	})
}

func TestDrainClosesAConnectionThatHasBeenIdleForASecond(t *testing.T) {
	inSite(t, func(t *testing.T, w *world, p *pipes) {
		w.clients.Go(func() {
			c := p.dial(t)
			c.requireClosed()
			require.Equal(t, 2*time.Second, w.elapsed())
		})
		const each = shutdown.IdleGrace - 5*time.Millisecond
		for at := time.Second + each; at < 3*time.Second; at += each {
			w.clients.Go(func() {
				c := p.dial(t)
				time.Sleep(at)
				if w.elapsed() < 2*time.Second {
					c.get()
					require.True(t, c.answer().Close)
				} else {
					c.requireClosed()
				}
			})
		}
		w.requireDrain(t, time.Second)
	})
}

// A slowConn, once armed, holds up whoever ends its reads.
type slowConn struct {
	net.Conn
	armed *atomic.Bool
}

func (c slowConn) SetReadDeadline(t time.Time) error {
	if c.armed.CompareAndSwap(true, false) {
		time.Sleep(3 * time.Second)
	}
	return c.Conn.SetReadDeadline(t)
}

func TestDrainThatDoesNotWakeInTimeDoesNotCountThatTimeAgainstConnections(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		p := newPipes()
		w.Add(shutdown.HTTP("http", &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.(http.Flusher).Flush() // the header
			time.Sleep(time.Second + shutdown.IdleGrace/2 - w.elapsed())
		})}, p))
		w.clients.Go(func() {
			c := p.dial(t)
			c.get()
			require.False(t, c.answer().Close)
			// The drain was held up from the end of the other's grace for three seconds, and gives this one another grace.
			time.Sleep(4*time.Second + 2*shutdown.IdleGrace - 1 - w.elapsed())
			c.get()
			require.True(t, c.answer().Close)
		})
		w.clients.Go(func() {
			var armed atomic.Bool
			ours, theirs := net.Pipe()
			p.conns <- slowConn{theirs, &armed}
			time.Sleep(time.Second)
			armed.Store(true)
			newClient(t, ours).requireClosed()
			require.Equal(t, 4*time.Second+shutdown.IdleGrace, w.elapsed())
		})
		w.requireDrain(t, 3*time.Second+2*shutdown.IdleGrace-1)
	})
}

func TestDrainWaitsASecondForTheRestOfARequest(t *testing.T) {
	inSite(t, func(t *testing.T, w *world, p *pipes) {
		begin := func(again time.Duration) *client {
			c := p.dial(t)
			c.send("GET / HTTP/1.1", "")
			time.Sleep(time.Second)
			c.send("Host: x", "")
			time.Sleep(again)
			return c
		}
		w.clients.Go(func() {
			c := begin(999 * time.Millisecond)
			c.send("", "")
			require.True(t, c.answer().Close)
		})
		w.clients.Go(func() {
			c := begin(0)
			c.requireClosed()
			require.Equal(t, 2*time.Second, w.elapsed())
		})
		w.requireDrain(t, time.Second)
	})
}

func TestDrainGivesAConnectionWhoseAnswerDidNotSayCloseItsOwnIdleGrace(t *testing.T) {
	for _, again := range []bool{false, true} {
		inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
			p := newPipes()
			w.Add(shutdown.HTTP("http", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.(http.Flusher).Flush() // the header
				time.Sleep(time.Second + shutdown.IdleGrace/2)
			})}, p))
			w.clients.Go(func() {
				c := p.dial(t)
				c.get()
				require.False(t, c.answer().Close)
				if again {
					time.Sleep(shutdown.IdleGrace - 1)
					c.get()
					require.True(t, c.answer().Close)
				}
				c.requireClosed()
			})
			took := shutdown.IdleGrace * 3 / 2
			if again {
				took += time.Second + shutdown.IdleGrace/2 - 1
			}
			w.requireDrain(t, took)
		})
	}
}

// A lingerConn keeps the server busy for a while after each write.
type lingerConn struct{ net.Conn }

func (c lingerConn) Write(p []byte) (int, error) {
	defer time.Sleep(10 * time.Millisecond)
	return c.Conn.Write(p)
}

func TestDrainServesARequestThatComesBeforeTheServerSaysThatItsConnectionIsIdle(t *testing.T) {
	inSite(t, func(t *testing.T, w *world, p *pipes) {
		w.clients.Go(func() {
			time.Sleep(995 * time.Millisecond)
			ours, theirs := net.Pipe()
			p.conns <- lingerConn{theirs}
			c := newClient(t, ours)
			c.get()
			require.False(t, c.answer().Close)
			c.get() // at once, while the server is in its write until 5 ms after the stop
			require.True(t, c.answer().Close)
		})
		w.requireDrain(t, 15*time.Millisecond)
	})
}

func TestDrainWaitsHalfASecondForAClientWhoseBodyTheHandlerDidNotRead(t *testing.T) {
	inSite(t, func(t *testing.T, w *world, p *pipes) {
		w.clients.Go(func() {
			c := p.dial(t)
			c.send("POST /?wait=2s HTTP/1.1", "Host: x", "Content-Length: 1000000", "", "")
			require.True(t, c.answer().Close)
			require.Equal(t, 2*time.Second, w.elapsed())
			c.requireClosed()
		})
		w.requireDrain(t, time.Second+time.Second/2)
	})
}

func TestDrainWaitsForHandlersWhoseConnectionIsClosed(t *testing.T) {
	inSite(t, func(t *testing.T, w *world, p *pipes) {
		w.clients.Go(func() {
			c := p.dial(t)
			c.wait(5 * time.Second)
			require.NoError(t, c.Close())
		})
		w.requireDrain(t, 4*time.Second)
	})
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		p := newPipes()
		w.Add(shutdown.HTTP("http", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			must(err)
			must(c.Close())
			time.Sleep(5 * time.Second)
		})}, p))
		w.clients.Go(func() { p.dial(t).get() })
		w.requireDrain(t, 4*time.Second)
	})
}

// A lateConn, once armed, does not return from a read that a past deadline has ended before something more has arrived.
type lateConn struct {
	*net.UnixConn
	armed, late      atomic.Bool
	expired, arrived chan struct{}
}

func (c *lateConn) SetReadDeadline(t time.Time) error {
	if t.IsZero() || !c.armed.CompareAndSwap(true, false) {
		return c.UnixConn.SetReadDeadline(t)
	}
	defer close(c.expired)
	c.late.Store(true)
	return c.UnixConn.SetReadDeadline(t)
}

func (c *lateConn) Read(p []byte) (int, error) {
	n, err := c.UnixConn.Read(p)
	if c.late.Load() {
		<-c.arrived
	}
	return n, err
}

// lateListener hands out the one lateConn.
type lateListener struct {
	net.Listener
	conn *lateConn
}

func (l lateListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.conn.UnixConn = c.(*net.UnixConn)
	return l.conn, nil
}

func TestDrainReadsOnceMoreBeforeItClosesAnIdleConnection(t *testing.T) {
	for _, comes := range []bool{true, false} {
		unix := listenOn(t, "unix", filepath.Join(t.TempDir(), "socket"))
		late := &lateConn{expired: make(chan struct{}), arrived: make(chan struct{})}
		idle := make(chan struct{}, 2)
		s := serve(t, shutdown.Config{}, &http.Server{
			Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
			ConnState: func(_ net.Conn, state http.ConnState) {
				if state == http.StateIdle {
					idle <- struct{}{}
				}
			},
		}, lateListener{unix, late})
		c := dialTo(t, "unix", unix.Addr().String())
		c.get()
		require.False(t, c.answer().Close)
		<-idle
		late.armed.Store(true)
		s.Shutdown(nil)
		<-late.expired
		if comes {
			c.get()
		}
		close(late.arrived)
		if comes {
			require.True(t, c.answer().Close)
		}
		c.requireClosed()
		require.NoError(t, <-s.over)
	}
}
