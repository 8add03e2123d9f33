package shutdown_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

// Each of these writes the header in a way of its own.
var writers = map[string]func(w http.ResponseWriter){
	"nothing":     func(http.ResponseWriter) {},
	"WriteHeader": func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) },
	"Write":       func(w http.ResponseWriter) { w.Write([]byte("ok")) },
	"WriteString": func(w http.ResponseWriter) { _, err := w.(io.StringWriter).WriteString("ok"); must(err) },
	"ReadFrom": func(w http.ResponseWriter) {
		_, err := w.(io.ReaderFrom).ReadFrom(bytes.NewReader(make([]byte, 1<<20)))
		must(err)
	},
	"Flush":      func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
	"FlushError": func(w http.ResponseWriter) { must(http.NewResponseController(w).Flush()) },
	"103 before": func(w http.ResponseWriter) { w.WriteHeader(http.StatusEarlyHints); w.WriteHeader(http.StatusOK) },
	"keep-alive": func(w http.ResponseWriter) { w.Header().Set("Connection", "keep-alive") },
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func TestHTTPAnnouncesThatItClosesHoweverTheAnswerIsWritten(t *testing.T) {
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
				p := newPipes()
				w.Add(shutdown.HTTP("http", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/late" {
						<-shutdown.Stopping(r.Context())
						time.Sleep(time.Second) // after the announcement
					}
					write(w)
				})}, p))
				w.clients.Go(func() {
					c := p.dial(t)
					c.get()
					require.False(t, c.final().Close)
					c.send("GET /late HTTP/1.1", "Host: x", "", "")
					require.True(t, c.final().Close)
					c.requireClosed()
				})
				w.requireDrain(t, time.Second)
			})
		})
	}
}

// final reads an answer and what comes before it, which does not say that it is the last.
func (c *client) final() reply {
	for {
		r := c.answer()
		if r.StatusCode >= http.StatusOK {
			return r
		}
		require.False(c.t, r.Close)
	}
}

func TestHTTPLeavesUpgradesAlone(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		p := newPipes()
		w.Add(shutdown.HTTP("http", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-shutdown.Stopping(r.Context())
			time.Sleep(time.Second)
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "echo")
			w.WriteHeader(http.StatusSwitchingProtocols)
			c, _, err := http.NewResponseController(w).Hijack()
			must(err)
			_, err = io.WriteString(c, "hello")
			must(err)
			time.Sleep(time.Second)
			must(c.Close())
		})}, p))
		w.clients.Go(func() {
			c := p.dial(t)
			c.send("GET / HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: echo", "", "")
			require.Equal(t, reply{StatusCode: http.StatusSwitchingProtocols, Connection: "Upgrade"}, c.answer())
			hello, err := io.ReadAll(c.r)
			require.NoError(t, err)
			require.Equal(t, "hello", string(hello))
		})
		w.requireDrain(t, 2*time.Second)
	})
}

// methods are the names of what net/http's own ResponseWriters can do beyond their interface.
func methods(w http.ResponseWriter) map[string]bool {
	has := make(map[string]bool)
	_, has["Flush"] = w.(http.Flusher)
	_, has["FlushError"] = w.(interface{ FlushError() error })
	_, has["Hijack"] = w.(http.Hijacker)
	_, has["Push"] = w.(http.Pusher)
	_, has["ReadFrom"] = w.(io.ReaderFrom)
	_, has["WriteString"] = w.(io.StringWriter)
	_, has["CloseNotify"] = w.(interface{ CloseNotify() <-chan bool })
	rc := http.NewResponseController(w)
	has["SetReadDeadline"] = rc.SetReadDeadline(time.Time{}) == nil
	has["SetWriteDeadline"] = rc.SetWriteDeadline(time.Time{}) == nil
	has["EnableFullDuplex"] = rc.EnableFullDuplex() == nil
	return has
}

func TestHTTPGivesHandlersTheMethodsThatNetHTTPDoes(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			seen := make(chan map[string]bool, 2)
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Proto != protocol {
					panic(r.Proto)
				}
				if r.URL.Path != "/" {
					return // pushed
				}
				has := methods(w)
				if p, ok := w.(http.Pusher); ok {
					has["pushing is off"] = p.Push("/pushed", nil) != nil
				}
				w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
				seen <- has
			})
			cert, pool := certificate(t)
			server := func() *http.Server {
				return &http.Server{Handler: handler, ErrorLog: quiet, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
			}
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: protocol == "HTTP/2.0"}
			defer transport.CloseIdleConnections()
			get := func(addr string) map[string]bool {
				_, err := fetch(t.Context(), transport, "https://"+addr)
				require.NoError(t, err)
				return <-seen
			}

			bare, ln := server(), listen(t)
			served := make(chan error)
			go func() { served <- bare.ServeTLS(ln, "", "") }()
			want := get(ln.Addr().String())
			require.NoError(t, bare.Close())
			require.ErrorIs(t, <-served, http.ErrServerClosed)

			s := serve(t, shutdown.Config{}, server(), listen(t))
			require.Equal(t, want, get(s.addr))
			require.NoError(t, s.stop())
		})
	}
}

func TestHTTPServesTheDefaultMuxIfTheServerHasNoHandler(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		p := newPipes()
		w.Add(shutdown.HTTP("http", &http.Server{}, p))
		w.clients.Go(func() {
			c := p.dial(t)
			c.get()
			require.Equal(t, http.StatusNotFound, c.answer().StatusCode)
			require.NoError(t, c.Close())
		})
		w.requireDrain(t, 0)
	})
}

func TestHTTPKeepsANilContextOfConnContextTheCallersMistake(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		p := newPipes()
		w.Add(shutdown.HTTP("http", &http.Server{
			ConnContext: func(context.Context, net.Conn) context.Context { return nil },
		}, p))
		w.clients.Go(func() { p.dial(t) })
		err := w.Run(t.Context())
		require.ErrorContains(t, err, "ConnContext returned nil")
	})
}
