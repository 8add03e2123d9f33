package shutdown_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

// site is an app with an HTTP server on a socket of its own.
type site struct {
	*shutdown.App
	addr string
	over chan error // what Run returned
}

func listen(t *testing.T) net.Listener { t.Helper(); return listenOn(t, "tcp", "127.0.0.1:0") }

func listenOn(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), network, addr)
	require.NoError(t, err)
	return ln
}

// serve runs s on ln until the test ends. The app has started when it returns, or has failed to.
func serve(t *testing.T, config shutdown.Config, s *http.Server, ln net.Listener, more ...shutdown.Component) *site {
	t.Helper()
	config.Logger = slog.New(slog.DiscardHandler)
	config.Signals = []os.Signal{}
	app, err := shutdown.New(config)
	require.NoError(t, err)
	app.Add(shutdown.HTTP("http", s, ln))
	app.Add(more...)
	w := &site{App: app, addr: ln.Addr().String(), over: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.over <- app.Run(context.WithoutCancel(t.Context()))
	}()
	t.Cleanup(func() {
		app.Shutdown(nil)
		<-ended
	})
	for probe := app.Startupz(); len(w.over) == 0; runtime.Gosched() {
		r := httptest.NewRecorder()
		if probe.ServeHTTP(r, nil); r.Code == http.StatusOK {
			break
		}
	}
	return w
}

func (s *site) stop() error {
	s.Shutdown(nil)
	return <-s.over
}

// dial opens a connection to the site.
func (s *site) dial(t *testing.T) *client {
	t.Helper()
	return dialTo(t, "tcp", s.addr)
}

func dialTo(t *testing.T, network, addr string) *client {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), network, addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return newClient(t, c)
}

// client is one end of a connection.
type client struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func newClient(t *testing.T, c net.Conn) *client {
	return &client{Conn: c, r: bufio.NewReader(c), t: t}
}

func (c *client) send(lines ...string) {
	c.t.Helper()
	_, err := io.WriteString(c, strings.Join(lines, "\r\n"))
	require.NoError(c.t, err)
}

func (c *client) get() { c.t.Helper(); c.send("GET / HTTP/1.1", "Host: x", "", "") }

// reply is what a server has answered.
type reply struct {
	StatusCode int
	Close      bool // as the answer has it
	Connection string
	Body       string
}

// answer reads an answer.
func (c *client) answer() reply {
	c.t.Helper()
	r, err := http.ReadResponse(c.r, nil)
	require.NoError(c.t, err)
	defer func() { _ = r.Body.Close() }()
	a := reply{StatusCode: r.StatusCode, Close: r.Close, Connection: r.Header.Get("Connection")}
	if r.StatusCode != http.StatusSwitchingProtocols {
		body, err := io.ReadAll(r.Body)
		require.NoError(c.t, err)
		a.Body = string(body)
	}
	return a
}

// fetch gets a URL.
func fetch(ctx context.Context, transport http.RoundTripper, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(answer.Body)
	return string(body), errors.Join(err, answer.Body.Close())
}

// requireClosed waits for the other end to close.
func (c *client) requireClosed() {
	c.t.Helper()
	_, err := c.r.ReadByte()
	require.ErrorIs(c.t, err, io.EOF)
}

// gate is a handler that says when a request has come and answers when it is let through.
type gate struct{ came, pass chan struct{} }

func newGate() gate { return gate{make(chan struct{}, 100), make(chan struct{})} }

func (g gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.came <- struct{}{}
	<-g.pass
	if err := r.Context().Err(); err != nil {
		panic("the context of a request in flight has ended: " + err.Error())
	}
	w.Write([]byte("ok"))
}

var quiet = log.New(io.Discard, "", 0)

func TestHTTPAnswersRequestsInFlightAndAnnouncesThatItCloses(t *testing.T) {
	g := newGate()
	s := serve(t, shutdown.Config{}, &http.Server{Handler: g}, listen(t))
	c := s.dial(t)
	c.get()
	<-g.came
	s.Shutdown(nil)
	requireRefused(t, "tcp", s.addr)
	close(g.pass)
	r := c.answer()
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.True(t, r.Close, "it has begun before the stop, and says so nevertheless")
	c.requireClosed()
	require.NoError(t, <-s.over)
}

// requireRefused waits until nobody listens any more.
func requireRefused(t *testing.T, network, addr string) {
	t.Helper()
	for {
		c, err := new(net.Dialer).DialContext(t.Context(), network, addr)
		if err != nil {
			return
		}
		require.NoError(t, c.Close())
	}
}

func TestHTTPAcceptsRequestsDuringTheDrainDelayAndAnnouncesThatItCloses(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-shutdown.Stopping(r.Context())
		}
		w.Write([]byte("ok"))
	})
	announced := make(chan struct{})
	s := serve(t, shutdown.Config{DrainDelay: time.Second}, &http.Server{Handler: handler}, listen(t),
		shutdown.Component{Name: "late", Phase: shutdown.Announce, Stop: func(context.Context) error { close(announced); return nil }})
	before := s.dial(t)
	before.get()
	require.False(t, before.answer().Close)
	s.Shutdown(nil)
	<-announced
	for { // the hooks of a phase are called together, so this one may come before that of HTTP
		after := s.dial(t)
		after.get()
		if after.answer().Close {
			break
		}
		require.NoError(t, after.Close())
	}
	before.get()
	require.True(t, before.answer().Close)
	require.NoError(t, <-s.over)
}

func TestHTTPServesConnectionsThatWereStillInTheQueue(t *testing.T) {
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")} {
		t.Run(network, func(t *testing.T) {
			// The first connection keeps Serve from accepting the others.
			accepted, goOn := make(chan struct{}), make(chan struct{})
			var once sync.Once
			ln := listenOn(t, network, addr)
			s := serve(t, shutdown.Config{}, &http.Server{
				Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) }),
				ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
					once.Do(func() { close(accepted) })
					<-goOn
					return ctx
				},
			}, ln)
			var clients []*client
			ask := func() {
				c := dialTo(t, network, s.addr)
				c.get()
				clients = append(clients, c)
			}
			ask()
			<-accepted
			if network == "tcp" {
				for range 10 {
					ask()
				}
				s.Shutdown(nil)
				requireRefused(t, network, s.addr) // by the kernel: the socket is still open
			} else {
				s.Shutdown(nil)
				_, err := ln.Accept()
				require.ErrorIs(t, err, os.ErrDeadlineExceeded, "this is how Serve is told that the listener is to close")
				for range 10 {
					ask()
				}
			}
			close(goOn)
			for _, c := range clients {
				require.Equal(t, http.StatusOK, c.answer().StatusCode)
			}
			require.NoError(t, <-s.over)
			requireRefused(t, network, s.addr)
		})
	}
}

func TestHTTPWaitsForHijackedConnectionsAndKillsThem(t *testing.T) {
	for _, kill := range []bool{false, true} {
		hijacked := make(chan net.Conn, 1)
		s := serve(t, shutdown.Config{Timeout: time.Second}, &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				c, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					panic(err)
				}
				hijacked <- c
			}),
		}, listen(t))
		c := s.dial(t)
		c.get()
		server := <-hijacked
		_, wrapped := server.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn)
		require.True(t, wrapped)
		s.Shutdown(nil)
		requireRefused(t, "tcp", s.addr)
		if kill {
			require.Equal(t, 124, shutdown.ExitCode(<-s.over))
			c.requireClosed()
			continue
		}
		_, err := io.WriteString(server, "bye\n")
		require.NoError(t, err)
		line, err := c.r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "bye\n", line)
		require.NoError(t, server.Close())
		require.NoError(t, <-s.over)
	}
}

func TestHTTPCallsWhatRegisterOnShutdownWasGivenWhileConnectionsAreHijacked(t *testing.T) {
	hijacked := make(chan net.Conn, 1)
	over := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(over)
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		hijacked <- c
	})}
	server.RegisterOnShutdown(func() { _ = (<-hijacked).Close() })
	s := serve(t, shutdown.Config{}, server, listen(t))
	c := s.dial(t)
	c.get()
	<-over
	require.NoError(t, s.stop())
	c.requireClosed()
}

func TestHTTPHandlersHaveTheHardContext(t *testing.T) {
	came, ended := make(chan struct{}), make(chan error, 1)
	s := serve(t, shutdown.Config{Timeout: time.Second}, &http.Server{
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-shutdown.Stopping(r.Context())
			if r.Context().Err() == nil {
				close(came)
			}
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		}),
	}, listen(t))
	c := s.dial(t)
	c.get()
	s.Shutdown(nil)
	<-came
	err := <-s.over
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "http (InFlight): Stop: requests were cancelled: context deadline exceeded")
	require.Equal(t, 1, shutdown.ExitCode(err), "it has noticed the end of its context")
	require.ErrorIs(t, <-ended, shutdown.ErrStopping)
}

func stuckHandler(never trap) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) { never.waitForever() }
}

func TestHTTPReportsTheStacksOfStuckHandlers(t *testing.T) {
	never := make(trap)
	came := make(chan struct{})
	s := serve(t, shutdown.Config{Timeout: time.Second}, &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(came)
			stuckHandler(never)(w, r)
		}),
	}, listen(t))
	c := s.dial(t)
	c.get()
	<-came
	err := s.stop()
	require.Equal(t, 124, shutdown.ExitCode(err))
	require.ErrorContains(t, err, "http (InFlight): Run is stuck after ")
	require.ErrorContains(t, err, "shutdown_test.trap.waitForever")
	require.ErrorContains(t, err, "http_test.go:")
	c.requireClosed()
	close(never)
}

func TestHTTPStreamsEndWithStopping(t *testing.T) {
	s := serve(t, shutdown.Config{}, &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Write([]byte("data: first\n\n"))
			w.(http.Flusher).Flush()
			<-shutdown.Stopping(r.Context())
			w.Write([]byte("data: last\n\n"))
		}),
	}, listen(t))
	c := s.dial(t)
	c.get()
	for line := ""; line != "data: first\n"; {
		var err error
		line, err = c.r.ReadString('\n')
		require.NoError(t, err)
	}
	s.Shutdown(nil)
	rest, err := io.ReadAll(c.r)
	require.NoError(t, err)
	require.Contains(t, string(rest), "data: last\n")
	require.NoError(t, <-s.over)
}

func TestTrackIsAllowedToRequestsInFlight(t *testing.T) {
	g := newGate()
	tracked := make(chan error, 1)
	detached := make(chan context.Context, 1)
	closed := make(chan struct{})
	var done func()
	var s *site
	s = serve(t, shutdown.Config{}, &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.ServeHTTP(w, r)
			ctx := context.WithoutCancel(r.Context())
			var err error
			done, err = s.Track(ctx, "write-back")
			detached <- ctx
			tracked <- err
		}),
	}, listen(t), shutdown.Component{Name: "intake is closed", Phase: shutdown.InFlight, Stop: func(context.Context) error {
		close(closed)
		return nil
	}})
	c := s.dial(t)
	c.get()
	<-g.came
	s.Shutdown(nil)
	<-closed
	close(g.pass)
	require.NoError(t, <-tracked)
	c.answer()
	c.requireClosed()
	_, err := s.Track(t.Context(), "another")
	require.ErrorIs(t, err, shutdown.ErrStopping)
	ctx := <-detached
	for err = nil; err == nil; { // the connection closes a moment before the request counts as over
		var again func()
		if again, err = s.Track(ctx, "too late"); err == nil {
			again()
		}
	}
	require.ErrorIs(t, err, shutdown.ErrStopping)
	select {
	case err := <-s.over:
		require.Fail(t, "did not wait for tracked work", "%v", err)
	default:
	}
	done()
	require.NoError(t, <-s.over)
}

func TestHTTPCallsTheServersOwnHooks(t *testing.T) {
	type named struct{ name string }
	states := make(chan http.ConnState, 10)
	onShutdown := make(chan struct{})
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"base", "conn", "run"} {
				w.Write([]byte(r.Context().Value(named{name}).(string)))
			}
		}),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), named{"base"}, "base ")
		},
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, named{"conn"}, "conn ")
		},
		ConnState: func(_ net.Conn, state http.ConnState) { states <- state },
	}
	server.RegisterOnShutdown(func() { close(onShutdown) })
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler), Signals: []os.Signal{}})
	require.NoError(t, err)
	ln := listen(t)
	app.Add(shutdown.HTTP("http", server, ln))
	over := make(chan error, 1)
	go func() { over <- app.Run(context.WithValue(t.Context(), named{"run"}, "run")) }()
	c := (&site{addr: ln.Addr().String()}).dial(t)
	c.get()
	require.Equal(t, "base conn run", c.answer().Body)
	app.Shutdown(nil)
	require.NoError(t, <-over)
	<-onShutdown
	for _, state := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateClosed} {
		require.Equal(t, state, <-states)
	}
}

func TestHTTPEndsTheContextThatBaseContextMade(t *testing.T) {
	type named struct{}
	came := make(chan context.Context, 1)
	s := serve(t, shutdown.Config{Timeout: time.Second}, &http.Server{
		BaseContext: func(net.Listener) context.Context { return context.WithValue(context.Background(), named{}, "base") },
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			came <- r.Context()
			<-r.Context().Done()
		}),
	}, listen(t))
	s.dial(t).get()
	ctx := <-came
	s.Shutdown(nil)
	<-shutdown.Stopping(ctx)
	require.Error(t, <-s.over)
	require.ErrorIs(t, context.Cause(ctx), shutdown.ErrStopping)
	require.Equal(t, "base", ctx.Value(named{}))
}

func TestHTTPServerThatCannotServeStopsTheApp(t *testing.T) {
	ln := listen(t)
	require.NoError(t, ln.Close())
	s := serve(t, shutdown.Config{}, &http.Server{}, ln)
	require.ErrorIs(t, <-s.over, net.ErrClosed)
	require.ErrorContains(t, s.Report(), `shutdown: "http" failed: `)
	require.Len(t, s.Report().Steps, 5, "no other hook has failed: %v", s.Report())
	s.over <- nil
}

func TestHTTPPanicsWithoutServerOrListener(t *testing.T) {
	ln := listen(t)
	defer func() { require.NoError(t, ln.Close()) }()
	require.PanicsWithValue(t, "shutdown: HTTP needs a server and a listener", func() { shutdown.HTTP("a", nil, ln) })
	require.PanicsWithValue(t, "shutdown: HTTP needs a server and a listener", func() { shutdown.HTTP("a", &http.Server{}, nil) })
}

// certificate makes a certificate for 127.0.0.1 and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestHTTPServesTLSAndDrainsHTTP2(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			cert, pool := certificate(t)
			g := newGate()
			s := serve(t, shutdown.Config{}, &http.Server{
				ErrorLog:  quiet,
				TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.TLS == nil || r.Proto != protocol {
						panic("not " + protocol + " over TLS")
					}
					if r.URL.Path == "/wait" {
						g.ServeHTTP(w, r)
					}
				}),
			}, listen(t))
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: protocol == "HTTP/2.0"}
			defer transport.CloseIdleConnections()
			get := func(path string) error {
				_, err := fetch(t.Context(), transport, "https://"+s.addr+path)
				return err
			}
			require.NoError(t, get("/"), "and the connection stays open")
			slow := make(chan error)
			go func() { slow <- get("/wait") }()
			<-g.came
			s.Shutdown(nil)
			requireRefused(t, "tcp", s.addr)
			close(g.pass)
			require.NoError(t, <-slow)
			require.NoError(t, <-s.over)
		})
	}
}

func TestHTTPTellsIdleHTTP2ConnectionsToGoAway(t *testing.T) {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	s := serve(t, shutdown.Config{}, &http.Server{
		Protocols: &protocols,
		Handler:   http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	}, listen(t))
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	var received recorder
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		received.Conn = c
		return &received, err
	}
	_, err := fetch(t.Context(), transport, "http://"+s.addr)
	require.NoError(t, err)
	require.NotContains(t, received.frames(), goAway)
	require.NoError(t, s.stop())
	for !received.over.Load() { // the end of the connection takes a moment to arrive
		runtime.Gosched()
	}
	require.Contains(t, received.frames(), goAway)
}

const goAway byte = 7 // the type of the frame

// recorder keeps what is read from a connection.
type recorder struct {
	net.Conn
	over atomic.Bool

	mu   sync.Mutex
	text []byte
}

func (c *recorder) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, p[:n]...)
	c.over.Store(err != nil)
	return n, err
}

// frames returns the types of the HTTP/2 frames.
func (c *recorder) frames() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var types []byte
	for rest := c.text; len(rest) >= 9; {
		types = append(types, rest[3])
		rest = rest[min(len(rest), 9+int(rest[0])<<16+int(rest[1])<<8+int(rest[2])):]
	}
	return types
}
