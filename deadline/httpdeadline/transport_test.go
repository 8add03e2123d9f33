package httpdeadline_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/deadline/httpdeadline"
)

// roundTrip is a transport that never dials.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answerOK(*http.Request) (*http.Response, error) { return httptest.NewRecorder().Result(), nil }

// send returns the status of the answer to r.
func send(rt http.RoundTripper, r *http.Request) (code int, err error) {
	res, err := rt.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// closing tells when a body was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func request(t *testing.T, ctx context.Context) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://leaf:8080/x", strings.NewReader("body"))
	require.NoError(t, err)
	return r
}

func TestTransportSendsWhatRemains(t *testing.T) {
	for _, c := range []struct {
		left, margin time.Duration
		want         string
	}{
		{200 * ms, 0, "200"},
		{200 * ms, 15 * ms, "185"},
		{200*ms + 999*time.Microsecond, 0, "200"},
		{200 * ms, 999 * time.Microsecond, "199"},
		{ms, 0, "1"},
		{1000 * 24 * time.Hour, 0, "9999999999"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := deadline.With(t.Context(), "request", c.left)
			defer cancel()
			sent := ""
			rt := httpdeadline.Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
				sent = r.Header.Get("Request-Timeout-Ms")
				return answerOK(r)
			}), httpdeadline.Policy{Margin: c.margin})
			code, err := send(rt, request(t, ctx))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, code)
			require.Equal(t, c.want, sent)
		})
	}
}

func TestTransportReplacesAHeaderWithoutChangingTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*ms)
		defer cancel()
		for _, header := range []http.Header{{"Request-Timeout-Ms": {"5000", "6000"}, "X": {"y"}}, {}, nil} {
			r := request(t, ctx)
			r.Header = header
			before := header.Clone()
			rt := httpdeadline.Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
				require.Equal(t, []string{"200"}, r.Header["Request-Timeout-Ms"])
				require.Equal(t, before.Get("X"), r.Header.Get("X"))
				return answerOK(r)
			}), httpdeadline.Policy{})
			_, err := send(rt, r)
			require.NoError(t, err)
			require.Equal(t, before, r.Header)
		}
	})
}

func TestTransportWithoutADeadlinePassesTheSameRequest(t *testing.T) {
	r := request(t, t.Context())
	rt := httpdeadline.Transport(roundTrip(func(r2 *http.Request) (*http.Response, error) {
		require.Same(t, r, r2)
		res, err := answerOK(r2)
		res.Header.Set("Deadline-Expired", "1")
		return res, err
	}), httpdeadline.Policy{Min: time.Hour})
	code, err := send(rt, r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code)
}

func TestTransportDoesNotDialForLessThanMin(t *testing.T) {
	for _, c := range []struct {
		left   time.Duration
		policy httpdeadline.Policy
		text   string
	}{
		{49 * ms, httpdeadline.Policy{Margin: 20 * ms, Min: 30 * ms}, "need 50ms, 49ms left"},
		{999 * time.Microsecond, httpdeadline.Policy{}, "need 1ms, 999µs left"},
		{20 * ms, httpdeadline.Policy{Margin: 20 * ms}, "need 21ms, 20ms left"},
		{20 * ms, httpdeadline.Policy{Margin: math.MaxInt64}, "need 2562047h47m16.854775807s, 20ms left"},
		{20 * ms, httpdeadline.Policy{Margin: ms, Min: math.MaxInt64}, "need 2562047h47m16.854775807s, 20ms left"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := deadline.With(t.Context(), "request", c.left)
			defer cancel()
			rt := httpdeadline.Transport(roundTrip(func(*http.Request) (*http.Response, error) { panic("dialled") }), c.policy)
			body := &closing{Reader: strings.NewReader("body")}
			r := request(t, ctx)
			r.Body = body
			res, err := (&http.Client{Transport: rt}).Do(r)
			if err == nil {
				require.NoError(t, res.Body.Close())
			}
			require.ErrorContains(t, err, c.text)
			var e *deadline.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "request", e.Name)
			var asURL *url.Error
			require.ErrorAs(t, err, &asURL)
			require.True(t, asURL.Timeout())
			require.True(t, body.closed)

			r = request(t, ctx)
			r.Body = nil
			_, err = send(rt, r)
			require.Error(t, err)
		})
	}
}

func TestTransportDoesNotDialForACallerThatHasGone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	cancel()
	rt := httpdeadline.Transport(roundTrip(func(*http.Request) (*http.Response, error) { panic("dialled") }), httpdeadline.Policy{})
	_, err := send(rt, request(t, ctx))
	require.Equal(t, context.Canceled, err)
}

func TestTransportTurnsAnExpiredAnswerIntoAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := deadline.With(t.Context(), "request", 200*ms)
		defer cancel()
		body := &closing{Reader: strings.NewReader("deadline exceeded\n")}
		rt := httpdeadline.Transport(roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{
				Status: "504 Gateway Timeout", StatusCode: http.StatusGatewayTimeout,
				Header: http.Header{"Deadline-Expired": {"1"}}, Body: body,
			}, nil
		}), httpdeadline.Policy{Margin: 10 * ms})
		_, err := send(rt, request(t, ctx))
		var e *deadline.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "leaf:8080", e.Name)
		require.Equal(t, 190*ms, e.Limit)
		require.EqualError(t, err, "deadline: leaf:8080: 190ms exceeded: 504 Gateway Timeout")
		require.True(t, body.closed)
		rest, err := io.ReadAll(body)
		require.NoError(t, err)
		require.Empty(t, rest)
	})
}

func TestTransportPassesOtherAnswersAndErrorsOn(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	errDial := errors.New("refused")
	rt := httpdeadline.Transport(roundTrip(func(*http.Request) (*http.Response, error) { return nil, errDial }), httpdeadline.Policy{})
	_, err := send(rt, request(t, ctx))
	require.Equal(t, errDial, err)

	timeout := &http.Response{StatusCode: http.StatusGatewayTimeout, Body: http.NoBody}
	rt = httpdeadline.Transport(roundTrip(func(*http.Request) (*http.Response, error) { return timeout, nil }), httpdeadline.Policy{})
	res, err := rt.RoundTrip(request(t, ctx))
	require.NoError(t, err)
	require.Same(t, timeout, res)
	require.NoError(t, res.Body.Close())
}

// idler counts calls of CloseIdleConnections.
type idler struct {
	roundTrip
	calls int
}

func (i *idler) CloseIdleConnections() { i.calls++ }

func TestTransportClosesIdleConnectionsOfItsBase(t *testing.T) {
	base := &idler{}
	(&http.Client{Transport: httpdeadline.Transport(base, httpdeadline.Policy{})}).CloseIdleConnections()
	require.Equal(t, 1, base.calls)
	(&http.Client{Transport: httpdeadline.Transport(roundTrip(nil), httpdeadline.Policy{})}).CloseIdleConnections()
}

func TestTransportUsesTheDefaultTransport(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Request-Timeout-Ms"))
	}))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	require.NoError(t, err)
	client := &http.Client{Transport: httpdeadline.Transport(nil, httpdeadline.Policy{})}
	defer client.CloseIdleConnections()
	res, err := client.Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Regexp(t, `^35\d{5}$`, string(body))
}
