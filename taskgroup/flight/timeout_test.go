package flight_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup/flight"
)

func TestTimeoutEndsTheContextOfTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group{Timeout: time.Second}
		caller := call(t.Context(), &g, "a", func(ctx context.Context) (int, error) {
			end, limited := ctx.Deadline()
			require.True(t, limited)
			require.Equal(t, time.Second, time.Until(end))
			<-ctx.Done()
			require.Equal(t, context.DeadlineExceeded, ctx.Err())
			require.Equal(t, &flight.TimeoutError{Key: "a", Limit: time.Second}, context.Cause(ctx))
			return 2, errLoad
		})
		joined := call(t.Context(), &g, "a", never)
		want := outcome{2, true, &flight.TimeoutError{Key: "a", Limit: time.Second, Err: errLoad}, time.Second}
		require.Equal(t, want, <-caller)
		require.Equal(t, want, <-joined)
	})
}

func TestTimeoutCountsFromTheCallThatStartsTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group{Timeout: time.Second}
		causes := make(chan error, 1)
		call(t.Context(), &g, "a", heeds(causes))
		time.Sleep(600 * time.Millisecond)
		require.Equal(t, 400*time.Millisecond, (<-call(t.Context(), &g, "a", never)).after)
	})
}

func TestErrorBeforeTheTimeoutComesBackAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group{Timeout: time.Second}
		require.Equal(t, outcome{1, false, errLoad, time.Second - 1}, <-call(t.Context(), &g, "a", takes(time.Second-1, 1, errLoad)))
	})
}

func TestLateResultIsAResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group{Timeout: time.Second}
		require.Equal(t, outcome{1, false, nil, time.Minute}, <-call(t.Context(), &g, "a", takes(time.Minute, 1, nil)))
	})
}

func TestLateErrorIsATimeoutEvenIfItDoesNotSaySo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group{Timeout: time.Second}
		got := <-call(t.Context(), &g, "a", takes(time.Second, 1, errLoad))
		require.Equal(t, outcome{1, false, &flight.TimeoutError{Key: "a", Limit: time.Second, Err: errLoad}, time.Second}, got)
		require.ErrorIs(t, got.err, errLoad)
		require.ErrorIs(t, got.err, context.DeadlineExceeded)
	})
}

func TestErrorAtTheDeadlineIsATimeoutThoughTheContextIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 { // of timers that are due in the same moment, either may be first
			g := group{Timeout: time.Second}
			socket := time.After(time.Second)
			got := <-call(t.Context(), &g, "a", func(context.Context) (int, error) {
				<-socket
				return 0, errLoad
			})
			require.Equal(t, &flight.TimeoutError{Key: "a", Limit: time.Second, Err: errLoad}, got.err)
		}
	})
}

func TestCauseOfTheLoadIsNotReportedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group{Timeout: time.Second}
		var cause error
		got := <-call(t.Context(), &g, "a", func(ctx context.Context) (int, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return 0, cause
		})
		require.Same(t, cause, got.err)
	})
}

func TestPanicAfterTheTimeoutIsAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group{Timeout: time.Second}
		got := <-call(t.Context(), &g, "a", func(ctx context.Context) (int, error) {
			<-ctx.Done()
			panic(errLoad)
		})
		_, panicked := got.err.(*flight.PanicError) //nolint:errorlint // itself and not wrapped
		require.True(t, panicked)
		got = <-call(t.Context(), &g, "a", func(ctx context.Context) (int, error) {
			<-ctx.Done()
			runtime.Goexit()
			return 0, nil
		})
		require.Equal(t, flight.ErrGoexit, got.err)
	})
}

func TestDoDoesNotJoinALoadWhoseTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group{Timeout: time.Second}
		stuck := call(t.Context(), &g, "a", takes(time.Hour, 1, nil))
		time.Sleep(time.Second - 1)
		joined := call(t.Context(), &g, "a", never)
		time.Sleep(time.Nanosecond)
		young := call(t.Context(), &g, "a", takes(time.Second-1, 2, nil))
		also := call(t.Context(), &g, "a", never)
		require.Equal(t, outcome{2, true, nil, time.Second - 1}, <-young)
		require.Equal(t, outcome{2, true, nil, time.Second - 1}, <-also)
		require.Equal(t, outcome{1, true, nil, time.Hour}, <-stuck)
		require.Equal(t, outcome{1, true, nil, time.Hour - time.Second + 1}, <-joined)
		require.Zero(t, g.Keys())
	})
}

func TestTimeoutDoesNotKeepACallerWhoseContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group{Timeout: time.Second}
		causes := make(chan error, 1)
		ctx, leave := leaver(t)
		caller := call(ctx, &g, "a", heeds(causes))
		time.Sleep(time.Second / 2)
		leave()
		require.Equal(t, outcome{0, false, errGone, time.Second / 2}, <-caller)
		require.Equal(t, context.Canceled, <-causes)
	})
}

func TestTimeoutErrorNamesTheFlight(t *testing.T) {
	e := &flight.TimeoutError{Key: 7, Limit: 200 * time.Millisecond}
	require.EqualError(t, e, "flight: load of 7: 200ms exceeded")
	e.Err = errLoad
	require.EqualError(t, e, "flight: load of 7: 200ms exceeded: no such thing")
}

func TestTimeoutErrorIsATimeoutToEverybodyWhoAsks(t *testing.T) {
	var err error = &flight.TimeoutError{Key: "a", Limit: time.Second, Err: errLoad}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errLoad)
	var n net.Error
	require.ErrorAs(t, fmt.Errorf("price: %w", err), &n)
	require.True(t, n.Timeout())
	require.True(t, (&url.Error{Op: "Get", Err: err}).Timeout())
	require.True(t, (&url.Error{Op: "Get", Err: err}).Temporary())
}
