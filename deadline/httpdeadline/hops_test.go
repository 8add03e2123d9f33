package httpdeadline_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/deadline/httpdeadline"
)

// hops are a client at the edge, a service in the middle and one at the leaf, which talk over loopback.
type hops struct {
	client *http.Client
	middle string
}

const margin = 10 * ms

// newHops starts both services. The one in the middle calls call with a function that asks the leaf, and leaves it to
// its Handler to answer if that fails. The client keeps back edgeMargin.
func newHops(t *testing.T, edgeMargin time.Duration, call func(ctx context.Context, ask func() error) error, leaf http.HandlerFunc) hops {
	leafURL := start(t, httpdeadline.Handler(leaf, httpdeadline.Policy{}))
	inner := newClient(t, httpdeadline.Policy{Margin: margin, Min: 20 * ms})
	middle := start(t, httpdeadline.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if call(ctx, func() error { return visit(ctx, inner, leafURL) }) != nil {
			<-ctx.Done()
		}
	}), httpdeadline.Policy{}))
	return hops{newClient(t, httpdeadline.Policy{Margin: edgeMargin}), middle}
}

func newClient(t *testing.T, p httpdeadline.Policy) *http.Client {
	client := &http.Client{Transport: httpdeadline.Transport(&http.Transport{}, p)}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// visit sends with the request what is left just before, for comparison.
func visit(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	left, _ := deadline.Remaining(ctx)
	r.Header.Set("X-Left", left.String())
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// observed is a hop's time as its caller saw it, as the header says, and as its context has it.
type observed struct{ before, header, left time.Duration }

func observe(r *http.Request) observed {
	before, _ := time.ParseDuration(r.Header.Get("X-Left"))
	n, _ := strconv.Atoi(r.Header.Get("Request-Timeout-Ms"))
	left, _ := deadline.Remaining(r.Context())
	return observed{before, time.Duration(n) * ms, left}
}

func TestEachHopSeesWhatIsLeftLessTheMargins(t *testing.T) {
	try := func() error {
		leaf := make(chan observed, 1)
		h := newHops(t, margin, func(_ context.Context, ask func() error) error { return ask() },
			func(_ http.ResponseWriter, r *http.Request) { leaf <- observe(r) })
		ctx, cancel := deadline.With(t.Context(), "edge", 200*ms)
		defer cancel()
		if err := visit(ctx, h.client, h.middle); err != nil {
			return err
		}
		left, _ := deadline.Remaining(ctx)
		seen := <-leaf
		require.LessOrEqual(t, seen.before, 200*ms-margin)
		require.LessOrEqual(t, seen.header, seen.before-margin)
		require.LessOrEqual(t, seen.left, seen.header)
		require.Greater(t, seen.header, left-2*margin-2*ms) // each hop rounds by less than a millisecond
		return nil
	}
	// On a machine that stands still for 200 ms a call ends early, and must do so for lack of time.
	for range 20 {
		err := try()
		if err == nil {
			return
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	t.Fatal("none of 20 calls got through in 200 ms")
}

func TestAnExpiredRequestNeverReachesTheLeaf(t *testing.T) {
	refused := make(chan error, 1)
	// The client has an hour and gives the middle 200 ms of it, so that it is still there to hear the answer.
	h := newHops(t, time.Hour-200*ms, func(ctx context.Context, ask func() error) error {
		spent, cancel := deadline.Reserve(ctx, "wait", 25*ms)
		defer cancel()
		<-spent.Done()
		err := ask()
		refused <- err
		return err
	}, func(http.ResponseWriter, *http.Request) { t.Error("the leaf was called") })

	ctx, cancel := deadline.With(t.Context(), "edge", time.Hour)
	defer cancel()
	err := visit(ctx, h.client, h.middle)
	var e *deadline.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, h.middle, "http://"+e.Name)
	require.LessOrEqual(t, e.Limit, 200*ms)
	require.EqualError(t, e.Err, "504 Gateway Timeout")

	require.ErrorAs(t, <-refused, &e)
	require.Equal(t, "request", e.Name)
}

func TestTheLeafStopsWhenTheClientOfTheEdgeHangsUp(t *testing.T) {
	working, stopped := make(chan struct{}), make(chan error, 1)
	h := newHops(t, margin, func(_ context.Context, ask func() error) error { return ask() },
		func(_ http.ResponseWriter, r *http.Request) {
			close(working)
			<-r.Context().Done()
			stopped <- context.Cause(r.Context())
		})
	ctx, hangUp := context.WithTimeout(t.Context(), time.Hour) // so long that it is not time that stops the leaf
	defer hangUp()
	result := make(chan error, 1)
	go func() { result <- visit(ctx, h.client, h.middle) }()
	<-working
	hangUp()
	require.ErrorIs(t, <-result, context.Canceled)
	require.Equal(t, context.Canceled, <-stopped)
}
