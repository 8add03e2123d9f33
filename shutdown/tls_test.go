package shutdown_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

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

func TestHTTPKeepsIdleHTTP2ConnectionsAsLongAsOnesInHTTP1MayBeUsed(t *testing.T) {
	var protocols, only http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	only.SetUnencryptedHTTP2(true)
	g := newGate()
	s := serve(t, shutdown.Config{}, &http.Server{
		Protocols: &protocols,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				w.(http.Flusher).Flush() // the header, which does not say close
				g.ServeHTTP(w, r)
			}
		}),
	}, listen(t))
	transport := &http.Transport{Protocols: &only}
	defer transport.CloseIdleConnections()
	var received recorder
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		received.Conn = c
		return &received, err
	}
	_, err := fetch(t.Context(), transport, "http://"+s.addr)
	require.NoError(t, err)
	idle, busy := s.dial(t), s.dial(t)
	busy.send("GET /wait HTTP/1.1", "Host: x", "", "")
	<-g.came
	idle.get()
	idle.answer()
	s.Shutdown(nil)
	idle.requireClosed() // after its IdleGrace
	close(g.pass)
	require.False(t, busy.answer().Close)
	require.NoError(t, <-s.over)
	for !received.over.Load() {
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
