package httpdeadline_test

import (
	"bufio"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/deadline/httpdeadline"
)

const ms = time.Millisecond

// An answer is what a client gets.
type answer struct {
	code   int
	header http.Header
	body   string
}

// newRequest returns a request with those headers, given as name, value, name, value.
func newRequest(t *testing.T, url string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// serve calls a Handler with a request that has those headers.
func serve(t *testing.T, p httpdeadline.Policy, next http.HandlerFunc, headers ...string) answer {
	t.Helper()
	return serveRequest(p, next, newRequest(t, "/", headers...))
}

// serveRequest calls a Handler with r.
func serveRequest(p httpdeadline.Policy, next http.HandlerFunc, r *http.Request) answer {
	w := httptest.NewRecorder()
	httpdeadline.Handler(next, p).ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

func notCalled(http.ResponseWriter, *http.Request) { panic("called") }

// granted is the time that a handler has for a request with those headers, or -1 if no end.
func granted(t *testing.T, p httpdeadline.Policy, headers ...string) time.Duration {
	left := time.Duration(-2)
	synctest.Test(t, func(t *testing.T) {
		serve(t, p, func(_ http.ResponseWriter, r *http.Request) {
			var ok bool
			if left, ok = deadline.Remaining(r.Context()); !ok {
				left = -1
			}
		}, headers...)
	})
	return left
}

func TestHandlerReadsEveryHeader(t *testing.T) {
	require.Equal(t, 200*ms, granted(t, httpdeadline.Policy{}, "grpc-timeout", "200m"))
	require.Equal(t, 200*ms, granted(t, httpdeadline.Policy{}, "Connect-Timeout-Ms", "200"))
	require.Equal(t, 200*ms, granted(t, httpdeadline.Policy{}, "X-Envoy-Expected-Rq-Timeout-Ms", "200"))
	require.Equal(t, 200*ms, granted(t, httpdeadline.Policy{}, "Request-Timeout-Ms", "200"))
}

func TestHandlerGoesByTheShortestOfSeveralHeaders(t *testing.T) {
	require.Equal(t, 150*ms, granted(t, httpdeadline.Policy{},
		"X-Envoy-Expected-Rq-Timeout-Ms", "15000", "Request-Timeout-Ms", "150", "grpc-timeout", "1S"))
	require.Equal(t, 150*ms, granted(t, httpdeadline.Policy{}, "Request-Timeout-Ms", "150", "Request-Timeout-Ms", "100000"))
}

func TestHandlerBoundsWhatClientsAskFor(t *testing.T) {
	none := time.Duration(-1)
	for _, c := range []struct {
		policy httpdeadline.Policy
		header string
		want   time.Duration
	}{
		{httpdeadline.Policy{}, "", none},
		{httpdeadline.Policy{}, "200", 200 * ms},
		{httpdeadline.Policy{Max: 100 * ms}, "", 100 * ms},
		{httpdeadline.Policy{Max: 100 * ms}, "50", 50 * ms},
		{httpdeadline.Policy{Max: 100 * ms}, "200", 100 * ms},
		{httpdeadline.Policy{Default: 100 * ms}, "", 100 * ms},
		{httpdeadline.Policy{Default: 100 * ms}, "50", 50 * ms},
		{httpdeadline.Policy{Default: 100 * ms}, "200", 100 * ms},
		{httpdeadline.Policy{Default: 100 * ms, Trust: true}, "", 100 * ms},
		{httpdeadline.Policy{Default: 100 * ms, Trust: true}, "200", 200 * ms},
		{httpdeadline.Policy{Default: 100 * ms, Trust: true, Max: 150 * ms}, "200", 150 * ms},
		{httpdeadline.Policy{Default: 100 * ms, Max: 50 * ms}, "", 50 * ms},
		{httpdeadline.Policy{Trust: true}, "", none},
	} {
		var headers []string
		if c.header != "" {
			headers = []string{"Request-Timeout-Ms", c.header}
		}
		require.Equal(t, c.want, granted(t, c.policy, headers...), "%+v", c)
	}
}

func TestHandlerIgnoresAndReportsMalformedValues(t *testing.T) {
	var seen []string
	p := httpdeadline.Policy{Default: 100 * ms, Malformed: func(r *http.Request, header, value string) {
		require.Equal(t, "/", r.URL.Path)
		seen = append(seen, header+": "+value)
	}}
	require.Equal(t, 100*ms, granted(t, p, "grpc-timeout", "soon", "Connect-Timeout-Ms", "-1"))
	require.Equal(t, []string{"Grpc-Timeout: soon", "Connect-Timeout-Ms: -1"}, seen)

	seen = nil
	require.Equal(t, 70*ms, granted(t, p, "X-Envoy-Expected-Rq-Timeout-Ms", "12345678901", "Request-Timeout-Ms", "1e9", "Request-Timeout-Ms", "70"))
	require.Equal(t, []string{"X-Envoy-Expected-Rq-Timeout-Ms: 12345678901", "Request-Timeout-Ms: 1e9"}, seen)

	p.Malformed = nil
	require.Equal(t, 100*ms, granted(t, p, "grpc-timeout", "soon"))
}

func requireExpired(t *testing.T, a answer) {
	t.Helper()
	require.Equal(t, http.StatusGatewayTimeout, a.code)
	require.Equal(t, "1", a.header.Get("Deadline-Expired"))
}

func TestHandlerDoesNotCallWhenNoTimeIsLeft(t *testing.T) {
	for _, header := range []string{"Connect-Timeout-Ms", "X-Envoy-Expected-Rq-Timeout-Ms", "Request-Timeout-Ms"} {
		requireExpired(t, serve(t, httpdeadline.Policy{}, func(http.ResponseWriter, *http.Request) { panic("called") }, header, "0"))
	}
	requireExpired(t, serve(t, httpdeadline.Policy{}, func(http.ResponseWriter, *http.Request) { panic("called") }, "grpc-timeout", "0n"))
}

// slow is a context that takes a nanosecond to tell its deadline.
type slow struct{ context.Context }

func (s slow) Deadline() (time.Time, bool) {
	time.Sleep(time.Nanosecond)
	return s.Context.Deadline()
}

func TestHandlerDoesNotCallWhenTheTimeLeftHasPassedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRequest(t, "/", "grpc-timeout", "1n")
		requireExpired(t, serveRequest(httpdeadline.Policy{}, notCalled, r.WithContext(slow{r.Context()})))
	})
}

func TestHandlerDoesNotCallWhenTheRequestsContextIsOutOfTime(t *testing.T) {
	ctx, cancel := deadline.With(t.Context(), "outer", 0)
	defer cancel()
	for _, p := range []httpdeadline.Policy{{}, {Default: time.Second}} {
		requireExpired(t, serveRequest(p, notCalled, newRequest(t, "/").WithContext(ctx)))
	}
}

func TestHandlerCallsForAClientThatHasHungUpInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, p := range []httpdeadline.Policy{{}, {Default: time.Hour}} {
		called := false
		serveRequest(p, func(http.ResponseWriter, *http.Request) { called = true }, newRequest(t, "/").WithContext(ctx))
		require.True(t, called)
	}
}

func TestHandlerEndsTheContextWithANamedBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var e *deadline.Error
		serve(t, httpdeadline.Policy{}, func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			e, _ = deadline.Cause(r.Context())
		}, "Request-Timeout-Ms", "200")
		require.Equal(t, 200*ms, time.Since(start))
		require.Equal(t, &deadline.Error{Name: "request", Limit: 200 * ms}, e)

		var state func() error
		serve(t, httpdeadline.Policy{}, func(_ http.ResponseWriter, r *http.Request) { state = r.Context().Err }, "Request-Timeout-Ms", "200")
		require.Equal(t, context.Canceled, state())
	})
}

func TestHandlerAnswersForAHandlerThatDidNotInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requireExpired(t, serve(t, httpdeadline.Policy{}, func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}, "Request-Timeout-Ms", "200"))
	})
}

func TestHandlerAnswersAClientOfGRPCInItsTerms(t *testing.T) {
	got := serve(t, httpdeadline.Policy{}, func(http.ResponseWriter, *http.Request) { panic("called") },
		"grpc-timeout", "0n", "Content-Type", "application/grpc+proto")
	require.Equal(t, http.StatusOK, got.code)
	require.Equal(t, "1", got.header.Get("Deadline-Expired"))
	require.Equal(t, "4", got.header.Get("Grpc-Status"))
	require.Equal(t, "deadline exceeded", got.header.Get("Grpc-Message"))
	require.Equal(t, "application/grpc+proto", got.header.Get("Content-Type"))
}

func TestHandlerDoesNotTakeEarlyHintsForAnAnswer(t *testing.T) {
	url := start(t, httpdeadline.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Length", "1000")
		<-r.Context().Done()
	}), httpdeadline.Policy{}))
	requireExpired(t, get(t, url, "Request-Timeout-Ms", "1"))
}

func TestHandlerLeavesAnAnswerAlone(t *testing.T) {
	for name, write := range map[string]func(w http.ResponseWriter){
		"header": func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) },
		"body":   func(w http.ResponseWriter) { _, _ = w.Write([]byte("late")) },
		"string": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "late") },
		"copy":   func(w http.ResponseWriter) { _, _ = io.Copy(w, strings.NewReader("late")) },
		"file":   func(w http.ResponseWriter) { _, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("late")) },
		"flush":  func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"control": func(w http.ResponseWriter) {
			_ = http.NewResponseController(w).Flush()
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			got := serve(t, httpdeadline.Policy{}, func(w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				write(w)
			}, "Request-Timeout-Ms", "200")
			require.NotEqual(t, http.StatusGatewayTimeout, got.code, name)
			require.Empty(t, got.header.Get("Deadline-Expired"), name)
			require.Contains(t, []string{"", "late"}, got.body, name)
		})
	}
}

func TestHandlerLeavesAnEmptyAnswerInTimeAlone(t *testing.T) {
	got := serve(t, httpdeadline.Policy{}, func(http.ResponseWriter, *http.Request) {}, "Request-Timeout-Ms", "100000")
	require.Equal(t, http.StatusOK, got.code)
}

func TestHandlerWithoutALimitPassesTheSameRequestAndWriter(t *testing.T) {
	r := newRequest(t, "/")
	w := httptest.NewRecorder()
	same := false
	httpdeadline.Handler(http.HandlerFunc(func(w2 http.ResponseWriter, r2 *http.Request) {
		same = w2 == w && r2 == r
	}), httpdeadline.Policy{}).ServeHTTP(w, r)
	require.True(t, same)
}

func TestHandlerLetsPanicsFly(t *testing.T) {
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		serve(t, httpdeadline.Policy{}, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "Request-Timeout-Ms", "100000")
	})
}

func TestPoliciesWithNegativeDurationsPanic(t *testing.T) {
	for text, p := range map[string]httpdeadline.Policy{
		"httpdeadline: Policy.Max is negative: -1s":     {Max: -time.Second},
		"httpdeadline: Policy.Default is negative: -1s": {Default: -time.Second},
		"httpdeadline: Policy.Margin is negative: -1s":  {Margin: -time.Second},
		"httpdeadline: Policy.Min is negative: -1s":     {Min: -time.Second},
	} {
		require.PanicsWithValue(t, text, func() { httpdeadline.Handler(http.NotFoundHandler(), p) })
		require.PanicsWithValue(t, text, func() { httpdeadline.Transport(nil, p) })
	}
}

// start serves h on loopback until the test ends and returns its address. What the server logs, such as writing where
// it is not allowed, makes the test fail.
func start(t *testing.T, h http.Handler) (url string) {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(failing{t}, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

type failing struct{ t *testing.T }

func (f failing) Write(b []byte) (int, error) {
	f.t.Errorf("server: %s", b)
	return len(b), nil
}

// newTransport returns a transport whose connections end with the test.
func newTransport(t *testing.T) *http.Transport {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// get sends a request with those headers and waits for the whole answer.
func get(t *testing.T, url string, headers ...string) answer {
	t.Helper()
	res, err := newTransport(t).RoundTrip(newRequest(t, url, headers...))
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return answer{res.StatusCode, res.Header, string(body)}
}

func TestHandlerDoesNotHoldBackAStream(t *testing.T) {
	next := make(chan struct{})
	url := start(t, httpdeadline.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			_, _ = io.WriteString(w, "event\n")
			if i%2 == 0 {
				w.(http.Flusher).Flush()
			} else if http.NewResponseController(w).Flush() != nil {
				return
			}
			<-next
		}
	}), httpdeadline.Policy{}))
	res, err := newTransport(t).RoundTrip(newRequest(t, url, "Request-Timeout-Ms", "100000"))
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	lines := bufio.NewScanner(res.Body)
	for range 3 { // each arrives while the handler is still running
		require.True(t, lines.Scan())
		require.Equal(t, "event", lines.Text())
		next <- struct{}{}
	}
	require.False(t, lines.Scan())
}

func TestHandlerDoesNotHoldBackARequestBody(t *testing.T) {
	url := start(t, httpdeadline.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if http.NewResponseController(w).EnableFullDuplex() != nil {
			return
		}
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = io.WriteString(w, "echo "+lines.Text()+"\n")
			w.(http.Flusher).Flush()
		}
	}), httpdeadline.Policy{}))

	body, send := io.Pipe()
	r := newRequest(t, url, "Request-Timeout-Ms", "100000")
	r.Method, r.Body = http.MethodPost, body
	go func() { _, _ = io.WriteString(send, "one\n") }()
	res, err := newTransport(t).RoundTrip(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	lines := bufio.NewScanner(res.Body)
	require.True(t, lines.Scan())
	require.Equal(t, "echo one", lines.Text())
	_, err = io.WriteString(send, "two\n")
	require.NoError(t, err)
	require.True(t, lines.Scan())
	require.Equal(t, "echo two", lines.Text())
	require.NoError(t, send.Close())
	require.False(t, lines.Scan())
}

func TestHandlerLetsAHandlerHijack(t *testing.T) {
	for name, hijack := range map[string]func(w http.ResponseWriter) error{
		"assertion": func(w http.ResponseWriter) error {
			conn, _, err := w.(http.Hijacker).Hijack()
			return respond(conn, err)
		},
		"control": func(w http.ResponseWriter) error {
			conn, _, err := http.NewResponseController(w).Hijack()
			return respond(conn, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 1)
			url := start(t, httpdeadline.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				failed <- hijack(w)
			}), httpdeadline.Policy{}))
			require.Equal(t, http.StatusNoContent, get(t, url, "Request-Timeout-Ms", "1").code)
			require.NoError(t, <-failed)
		})
	}
}

func respond(conn io.WriteCloser, err error) error {
	if err != nil {
		return err
	}
	_, err = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	_ = conn.Close()
	return err
}

func TestHandlerControllerReachesTheConnection(t *testing.T) {
	errs := make(chan error, 3)
	url := start(t, httpdeadline.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		rc := http.NewResponseController(w)
		errs <- rc.SetReadDeadline(time.Time{})
		errs <- rc.SetWriteDeadline(time.Time{})
		errs <- rc.EnableFullDuplex()
	}), httpdeadline.Policy{}))
	require.Equal(t, http.StatusOK, get(t, url, "Request-Timeout-Ms", "100000").code)
	for range 3 {
		require.NoError(t, <-errs)
	}
}

func TestHandlerDoesNotOfferToHijackHTTP2(t *testing.T) {
	offered := make(chan bool, 1)
	s := httptest.NewUnstartedServer(httpdeadline.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, ok := w.(http.Hijacker)
		offered <- ok || r.ProtoMajor != 2
	}), httpdeadline.Policy{Max: time.Minute}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	transport := newTransport(t)
	transport.Protocols = s.Config.Protocols
	res, err := transport.RoundTrip(newRequest(t, s.URL))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.False(t, <-offered)
}
