package shed_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag/shed"
)

// overloaded returns a Shedder that refuses nine tenths of what is not Critical, within a bubble.
func overloaded(s *shed.Shedder, late *source) {
	late.set(time.Hour)
	ask(s, time.Second, shed.Normal)
}

// A body tells whether somebody read it.
type body struct{ read bool }

func (b *body) Read([]byte) (int, error) { b.read = true; return 0, errors.New("read") }
func (b *body) Close() error             { return nil }

func TestRefusedRequestIsToldWhenToComeBack(t *testing.T) {
	bubble(t, shed.Policy{RetryAfter: 4 * time.Second}, func(t *testing.T, s *shed.Shedder, late *source) {
		overloaded(s, late)
		done := 0
		h := s.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { done++ }))
		var after []string
		for range 1000 {
			unread := new(body)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", unread))
			if w.Code == http.StatusServiceUnavailable {
				after = append(after, w.Header().Get("Retry-After"))
				require.Equal(t, "The server is too busy.\n", w.Body.String())
			}
			require.False(t, unread.read)
		}
		require.Equal(t, 1000, len(after)+done)
		require.InDelta(t, 100, done, 80) // eight standard deviations
		slices.Sort(after)
		require.Equal(t, []string{"2", "3", "4", "5", "6"}, slices.Compact(after))
	})
}

func TestStreamOfHTTP2LeavesItsConnectionOpen(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		overloaded(s, late)
		h := s.Middleware(http.NotFoundHandler())
		for major, want := range map[int]string{1: "close", 2: ""} {
			w := httptest.NewRecorder()
			for w.Code != http.StatusServiceUnavailable {
				w = httptest.NewRecorder()
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", new(body))
				r.ProtoMajor = major
				h.ServeHTTP(w, r)
			}
			require.Equal(t, want, w.Header().Get("Connection"))
		}
	})
}

func TestRetryAfterIsInWholeSecondsFromHalfToOneAndAHalfTimesThePolicys(t *testing.T) {
	for after, want := range map[time.Duration][]string{
		0:                       {"", "1", "2", "3"},
		2500 * time.Millisecond: {"", "2", "3"},
		3 * time.Second:         {"", "2", "3", "4"},
		4*time.Second + 1:       {"", "3", "4", "5", "6"},
	} {
		bubble(t, shed.Policy{RetryAfter: after}, func(t *testing.T, s *shed.Shedder, late *source) {
			overloaded(s, late)
			var seen []string
			for range 1000 {
				w := httptest.NewRecorder()
				s.Middleware(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
				seen = append(seen, w.Header().Get("Retry-After"))
			}
			slices.Sort(seen)
			require.Equal(t, want, slices.Compact(seen), "%v", after)
		})
	}
}

func TestPolicyTellsThePriorityOfARequest(t *testing.T) {
	policy := shed.Policy{Priority: func(r *http.Request) shed.Priority {
		switch r.URL.Path {
		case "/livez", "/events":
			return shed.Critical
		case "/suggest":
			return shed.Sheddable
		}
		return shed.Normal
	}}
	bubble(t, policy, func(t *testing.T, s *shed.Shedder, late *source) {
		overloaded(s, late)
		before := s.Stats()
		h := s.Middleware(http.NotFoundHandler())
		for range 300 {
			for _, path := range []string{"/livez", "/events", "/suggest", "/"} {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			}
		}
		after := s.Stats()
		require.Equal(t, uint64(600), after.Admitted.Critical)
		require.Equal(t, uint64(300), after.Admitted.Sheddable+after.Refused.Sheddable)
		require.Positive(t, after.Refused.Normal-before.Refused.Normal)
	})
}

func TestStreamsAndUpgradesPassThrough(t *testing.T) {
	s := shed.New(new(source), shed.Policy{})
	failed := make(chan error, 1)
	server := httptest.NewServer(s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if r.URL.Path == "/events" {
			failed <- errors.Join(c.SetWriteDeadline(time.Time{}), c.Flush())
			return
		}
		conn, _, err := c.Hijack()
		if err == nil {
			_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			err = errors.Join(err, conn.Close())
		}
		failed <- err
	})))
	defer server.Close()
	for path, want := range map[string]int{"/events": http.StatusOK, "/ws": http.StatusSwitchingProtocols} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		require.NoError(t, err)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "echo")
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.NoError(t, <-failed)
		require.Equal(t, want, resp.StatusCode)
	}
}

// serve starts a server that refuses nine tenths, and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	s := shed.New(stuck{}, shed.Policy{})
	for s.Stats().Share < 0.9 {
		s.Allow(shed.Normal)
	}
	server := httptest.NewServer(s.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	})))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// refused sends a request on connections of its own until one is refused, and reports whether its connection is closed.
func refused(t *testing.T, addr, request string) (closed bool) {
	t.Helper()
	for {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)
		_, err = io.WriteString(conn, request)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(100*time.Millisecond))) // an admitted one waits for the body
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil && resp.StatusCode == http.StatusServiceUnavailable {
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.NoError(t, conn.Close())
			return resp.Close
		}
		require.NoError(t, conn.Close())
	}
}

func TestServerAnswersBeforeTheBodyHasCome(t *testing.T) {
	addr := serve(t)
	large := fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 100<<10)
	require.True(t, refused(t, addr, large))
	unknown := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	require.True(t, refused(t, addr, unknown))
}

func TestServerKeepsTheConnectionOfASmallRequest(t *testing.T) {
	addr := serve(t)
	require.False(t, refused(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	small := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n" + strings.Repeat("x", 4096)
	require.False(t, refused(t, addr, small))
}
