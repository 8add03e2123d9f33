package load_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/load"
)

// A site answers requests in the process.
type site func(n int, r *http.Request) (status int, err error)

func (s site) RoundTrip(r *http.Request) (*http.Response, error) {
	status, err := s(int(r.ContentLength), r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("x")), Request: r}, nil
}

func request(ctx context.Context, n int) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://site/", nil)
	if err == nil {
		r.ContentLength = int64(n) // tells the site which one it is
	}
	return r, err
}

func run(t *testing.T, s site, c load.Config) load.Result {
	t.Helper()
	r, err := load.Run(t.Context(), &http.Client{Transport: s}, request, c)
	require.NoError(t, err)
	return r
}

// within waits for d or the end of the request.
func within(r *http.Request, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	}
}

func TestRequestsAreSentWhenTheyAreDueWhateverBecameOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gaps := func(answer time.Duration) map[int]time.Duration {
			var mu sync.Mutex
			sent, began := map[int]time.Duration{}, time.Now()
			r := run(t, func(n int, r *http.Request) (int, error) {
				mu.Lock()
				sent[n] = time.Since(began)
				mu.Unlock()
				return http.StatusOK, within(r, answer)
			}, load.Config{Rate: 10, Duration: 10 * time.Second, Timeout: time.Minute})
			require.Len(t, sent, r.Accepted)
			require.Equal(t, answer, r.P50)
			require.Equal(t, answer, r.Max)
			return sent
		}
		quick, slow := gaps(0), gaps(30*time.Second)
		require.Equal(t, quick, slow)
		require.InDelta(t, 100, len(quick), 30)
	})
}

func TestOutcomesAreCountedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, func(n int, r *http.Request) (int, error) {
			switch n % 5 {
			case 0:
				return http.StatusNoContent, nil
			case 1:
				return http.StatusServiceUnavailable, nil
			case 2:
				return http.StatusGatewayTimeout, nil
			case 3:
				return 0, errors.New("reset")
			default:
				return 0, within(r, time.Hour)
			}
		}, load.Config{Rate: 1000, Duration: time.Second})
		n := r.Accepted + r.Refused + r.TimedOut + r.Failed + r.Expired
		for _, count := range []int{r.Accepted, r.Refused, r.TimedOut, r.Failed, r.Expired} {
			require.InDelta(t, n/5, count, 1)
		}
		require.InDelta(t, 1000, n, 100)
		require.Equal(t, float64(n-r.Expired), r.Achieved)
		require.Equal(t, float64(r.Accepted), r.Goodput)
	})
}

// A busy site refuses every request: the even ones as package shed does, the others as a handler does.
type busy struct{}

func (busy) RoundTrip(r *http.Request) (*http.Response, error) {
	h := http.Header{"Content-Type": {"application/problem+json"}}
	if r.ContentLength%2 == 0 {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: h, Body: http.NoBody, Request: r}, nil
}

func TestWhatIsShedIsPartOfWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := load.Run(t.Context(), &http.Client{Transport: busy{}}, request, load.Config{Rate: 1000, Duration: time.Second})
		require.NoError(t, err)
		require.InDelta(t, 1000, r.Refused, 100)
		require.InDelta(t, r.Refused/2, r.Shed, 1)
		require.Equal(t, float64(r.Refused), r.Achieved)
	})
}

func TestGoodputIsWhatIsAcceptedWithinTheSLO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, func(n int, r *http.Request) (int, error) {
			return http.StatusOK, within(r, time.Duration(n%2+1)*50*time.Millisecond)
		}, load.Config{Rate: 100, Duration: 10 * time.Second, SLO: 50 * time.Millisecond})
		require.InDelta(t, r.Achieved/2, r.Goodput, 0.1)
		require.Equal(t, 100*time.Millisecond, r.P90)
	})
}

func TestWarmUpDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		r := run(t, func(int, *http.Request) (int, error) { sent.Add(1); return http.StatusOK, nil },
			load.Config{Rate: 100, WarmUp: 9 * time.Second, Duration: time.Second})
		require.InDelta(t, 100, r.Accepted, 30)
		require.InDelta(t, 1000, sent.Load(), 100)
	})
}

func TestWhatExceedsMaxInFlightIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var under, most atomic.Int64
		r := run(t, func(_ int, r *http.Request) (int, error) {
			most.Store(max(most.Load(), under.Add(1)))
			defer under.Add(-1)
			return http.StatusOK, within(r, time.Second)
		}, load.Config{Rate: 100, Duration: 10 * time.Second, MaxInFlight: 3})
		require.Equal(t, int64(3), most.Load())
		require.InDelta(t, 1000, r.Accepted+r.Dropped, 100)
		require.InDelta(t, 30, r.Accepted, 1)
	})
}

func TestRunEndsWithItsContextAndWithARequestThatCannotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { cancel(stop) })
		began := time.Now()
		client := &http.Client{Transport: site(func(_ int, r *http.Request) (int, error) { return 0, within(r, time.Hour) })}
		c := load.Config{Rate: 1, Duration: time.Minute, Timeout: time.Hour}
		_, err := load.Run(ctx, client, request, c)
		require.ErrorIs(t, err, stop)
		require.Equal(t, 5*time.Second, time.Since(began))

		_, err = load.Run(t.Context(), client, func(context.Context, int) (*http.Request, error) { return nil, stop }, c)
		require.ErrorIs(t, err, stop)
		_, err = load.Run(t.Context(), client, request, load.Config{})
		require.ErrorContains(t, err, "must be above 0")
	})
}

func TestTableHasARowForEachResult(t *testing.T) {
	var out strings.Builder
	require.NoError(t, load.Table(&out, "load", []load.Row{{"half", load.Result{Offered: 50, Goodput: 49, P99: 1500 * time.Microsecond}}}))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3)
	for _, line := range lines {
		require.Equal(t, strings.Count(lines[0], "|"), strings.Count(line, "|"))
	}
	require.Contains(t, lines[2], "| half | 50 | 0 | 49 |")
	require.Contains(t, lines[2], "| 1.5 |")
}
