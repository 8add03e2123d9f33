package shutdown_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

func echo(w http.ResponseWriter, r *http.Request) { w.(io.ReaderFrom).ReadFrom(r.Body) } //nolint:errcheck // the client will notice

// load is clients that send one request after the other for as long as they can connect.
type load struct {
	clients  sync.WaitGroup
	answered atomic.Int32
	enough   chan struct{} // closed when there have been so many answers that the server may stop

	mu   sync.Mutex
	lost map[time.Time]error // by when the request was sent
}

func startLoad(ctx context.Context, url string, transport *http.Transport, enough int32) *load {
	l := &load{enough: make(chan struct{}), lost: make(map[time.Time]error)}
	for range 16 {
		l.clients.Go(func() {
			transport := transport.Clone()
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			for n := 0; ; n++ {
				sent, err := post(ctx, client, url, fmt.Sprint("request ", n))
				if refused := (*net.OpError)(nil); errors.As(err, &refused) && refused.Op == "dial" {
					return
				}
				if err != nil {
					l.mu.Lock()
					l.lost[sent] = err
					l.mu.Unlock()
					return
				}
				if l.answered.Add(1) == enough {
					close(l.enough)
				}
			}
		})
	}
	return l
}

// post sends a request that a client may repeat by itself only if it knows that the server has not begun to serve it, which
// HTTP/2 can tell. It returns when it had been sent, or could not be.
func post(ctx context.Context, c *http.Client, url, body string) (sent time.Time, err error) {
	wrote := make(chan time.Time, 1)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { wrote <- time.Now() },
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return sent, err
	}
	answer, err := c.Do(r)
	select {
	case sent = <-wrote:
	default:
		sent = time.Now()
	}
	if err != nil {
		return sent, err
	}
	echoed, err := io.ReadAll(answer.Body)
	if err == nil && string(echoed) != body {
		err = fmt.Errorf("sent %q, received %q", body, echoed)
	}
	return sent, errors.Join(err, answer.Body.Close())
}

// requireNothingLost waits for the clients of a server that was asked to stop at some time. What they sent later than
// IdleGrace after that, because the machine was busy, they sent on connections that may have been closed.
func (l *load) requireNothingLost(t *testing.T, stopped time.Time) {
	t.Helper()
	l.clients.Wait()
	for sent, err := range l.lost {
		after := sent.Sub(stopped)
		require.GreaterOrEqual(t, after, shutdown.IdleGrace, "lost a request: %v", err)
		t.Logf("sent too late, after %v: %v", after, err)
	}
}

func TestHTTPLosesNoRequest(t *testing.T) {
	cert, pool := certificate(t)
	for _, c := range []struct {
		name   string
		drains int
		tls    bool
		client *http.Transport
	}{
		{"keep-alive", 10, false, &http.Transport{}},
		{"a connection each", 10, false, &http.Transport{DisableKeepAlives: true}},
		{"keep-alive over TLS", 3, true, &http.Transport{}},
		{"a connection each over TLS", 3, true, &http.Transport{DisableKeepAlives: true}},
		{"HTTP/2", 10, true, &http.Transport{ForceAttemptHTTP2: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range c.drains {
				server := &http.Server{ErrorLog: quiet, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(w, r.Body) //nolint:errcheck // the client will notice
				})}
				scheme := "http://"
				if c.tls {
					server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
					c.client.TLSClientConfig = &tls.Config{RootCAs: pool}
					scheme = "https://"
				}
				s := serve(t, shutdown.Config{}, server, listen(t))
				l := startLoad(t.Context(), scheme+s.addr, c.client, 200)
				<-l.enough
				stopped := time.Now()
				require.NoError(t, s.stop())
				l.requireNothingLost(t, stopped)
			}
		})
	}
}
