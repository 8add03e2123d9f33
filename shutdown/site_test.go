package shutdown_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"

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
