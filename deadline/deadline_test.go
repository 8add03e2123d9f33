package deadline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
)

const ms = time.Millisecond

// bubble runs f with a fake clock and a function that tells how much time has passed.
func bubble(t *testing.T, f func(t *testing.T, ctx context.Context, now func() time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		f(t, t.Context(), func() time.Duration { return time.Since(start) })
	})
}

// untilDone is work that does nothing but wait for the end of its context.
func untilDone(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestWithEndsAfterItsTimeWithItsName(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "db", 50*ms)
		defer cancel()
		left, ok := deadline.Remaining(ctx)
		require.True(t, ok)
		require.Equal(t, 50*ms, left)
		_, over := deadline.Cause(ctx)
		require.False(t, over)

		<-ctx.Done()
		require.Equal(t, 50*ms, now())
		require.Equal(t, context.DeadlineExceeded, ctx.Err())
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Name: "db", Limit: 50 * ms}, e)
		require.Same(t, e, context.Cause(ctx))
	})
}

func TestWithLeavesAParentInChargeThatEndsNoLater(t *testing.T) {
	for _, d := range []time.Duration{50 * ms, 80 * ms} {
		bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
			outer, stop := deadline.With(ctx, "request", 50*ms)
			defer stop()
			inner, cancel := deadline.With(outer, "db", d)
			defer cancel()
			left, _ := deadline.Remaining(inner)
			require.Equal(t, 50*ms, left)

			<-inner.Done()
			require.Equal(t, 50*ms, now())
			e, over := deadline.Cause(inner)
			require.True(t, over)
			require.Equal(t, &deadline.Error{Name: "request", Limit: 50 * ms, Inherited: true}, e)
			e, over = deadline.Cause(outer)
			require.True(t, over)
			require.False(t, e.Inherited)
		})
	}
}

func TestWithOfNoTimeHasEndedAlready(t *testing.T) {
	for _, d := range []time.Duration{0, -ms} {
		bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
			ctx, cancel := deadline.With(ctx, "db", d)
			defer cancel()
			require.Equal(t, context.DeadlineExceeded, ctx.Err())
			e, over := deadline.Cause(ctx)
			require.True(t, over)
			require.Equal(t, &deadline.Error{Name: "db", Limit: d}, e)
		})
	}
}

func TestCancelEndsAWithoutBlamingTime(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "db", 50*ms)
		cancel()
		require.Equal(t, context.Canceled, context.Cause(ctx))
		time.Sleep(50 * ms)
		_, over := deadline.Cause(ctx)
		require.False(t, over)
	})
}

func TestWithCancelsContextsDerivedFromIt(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "db", 50*ms)
		defer cancel()
		child, stop := context.WithCancel(context.WithValue(ctx, valueKey{}, 1))
		defer stop()
		<-child.Done()
		require.Equal(t, 50*ms, now())
		e, over := deadline.Cause(child)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Name: "db", Limit: 50 * ms}, e)
		require.Equal(t, 1, child.Value(valueKey{}))
	})
}

func TestWithPrintsItsName(t *testing.T) {
	ctx, cancel := deadline.With(t.Context(), "db", time.Hour)
	defer cancel()
	require.Regexp(t, `\.WithDeadline\(.*\)\[db\]$`, fmt.Sprint(ctx))
	ctx, cancel = deadline.With(ctx, "longer", 2*time.Hour)
	defer cancel()
	require.Regexp(t, `\.WithDeadline\(.*\)\[db\]\.WithCancel$`, fmt.Sprint(ctx))
}

func TestCauseOfAForeignDeadlineHasNoName(t *testing.T) {
	tooSlow := errors.New("too slow")
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		plain, stop := context.WithTimeout(ctx, 50*ms)
		defer stop()
		caused, stop := context.WithTimeoutCause(ctx, 50*ms, tooSlow)
		defer stop()
		inner, cancel := deadline.With(plain, "db", time.Second)
		defer cancel()
		time.Sleep(50 * ms)
		synctest.Wait()
		for ctx, want := range map[context.Context]*deadline.Error{
			plain:  {Inherited: true},
			inner:  {Inherited: true},
			caused: {Inherited: true, Err: tooSlow},
		} {
			e, over := deadline.Cause(ctx)
			require.True(t, over)
			require.Equal(t, want, e)
		}
	})
}

func TestCauseKeepsTheNameThatAForeignDeadlineGives(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithTimeoutCause(ctx, 50*ms, &deadline.Error{Name: "theirs", Limit: 50 * ms})
		defer cancel()
		<-ctx.Done()
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Name: "theirs", Limit: 50 * ms, Inherited: true}, e)
	})
}

func TestCauseOfAForeignDeadlineInsideABudgetHasNoName(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "db", time.Second)
		defer cancel()
		ctx, cancel = context.WithTimeout(ctx, 50*ms)
		defer cancel()
		<-ctx.Done()
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Inherited: true}, e)
	})
}

func TestCauseDoesNotTakeASiblingsTimeoutForTheContextsOwn(t *testing.T) {
	sibling := &deadline.Error{Name: "sibling"}
	for _, cause := range []error{sibling, fmt.Errorf("group cancelled: %w", sibling)} {
		ctx, stop := deadline.With(t.Context(), "request", time.Hour)
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(cause)
		_, over := deadline.Cause(ctx)
		require.False(t, over)

		_, err := deadline.Do(ctx, "db", time.Minute, func(context.Context) (int, error) { panic("called") })
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		require.IsNotType(t, &deadline.Error{}, err) //nolint:testifylint // it may wrap one
		stop()
	}
}

func TestDoReturnsAnErrorAsItIsWhenASiblingsTimeoutCancels(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := deadline.Do(ctx, "db", time.Minute, func(context.Context) (int, error) {
		cancel(&deadline.Error{Name: "sibling"})
		return 0, io.ErrUnexpectedEOF
	})
	require.Equal(t, io.ErrUnexpectedEOF, err)
}

func TestRemainingIsFalseWithoutADeadline(t *testing.T) {
	left, ok := deadline.Remaining(t.Context())
	require.False(t, ok)
	require.Zero(t, left)
}

func TestRemainingIsNegativeAfterTheDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "db", 50*ms)
		defer cancel()
		time.Sleep(53 * ms)
		left, ok := deadline.Remaining(ctx)
		require.True(t, ok)
		require.Equal(t, -3*ms, left)
	})
}

func TestRequireAllowsWhatFits(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		require.NoError(t, deadline.Require(ctx, time.Hour))
		ctx, cancel := deadline.With(ctx, "db", 50*ms)
		defer cancel()
		require.NoError(t, deadline.Require(ctx, 50*ms))
		require.NoError(t, deadline.Require(ctx, 0))
	})
}

func TestRequireSaysWhatIsNeededAndWhatIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "db", 50*ms)
		defer cancel()
		time.Sleep(47 * ms)
		err := deadline.Require(ctx, 50*ms)
		require.EqualError(t, err, "deadline: db: need 50ms, 3ms left")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, ctx.Err())

		inner, cancel := deadline.With(ctx, "row", time.Second)
		defer cancel()
		var e *deadline.Error
		require.ErrorAs(t, deadline.Require(inner, 4*ms), &e)
		require.Equal(t, "db", e.Name)
		require.Equal(t, 50*ms, e.Limit)
		require.True(t, e.Inherited)
	})
}

func TestRequireDoesNotNameABudgetWithAForeignDeadlineInside(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "db", time.Second)
		defer cancel()
		ctx, cancel = context.WithTimeout(ctx, 50*ms)
		defer cancel()
		require.EqualError(t, deadline.Require(ctx, 51*ms), "deadline: need 51ms, 50ms left")
	})
}

func TestDoSaysThatTimeIsOverWhateverWasShortWithin(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		_, err := deadline.Do(ctx, "request", 50*ms, func(ctx context.Context) (int, error) {
			v, err := deadline.Do(ctx, "db", 20*ms, func(ctx context.Context) (int, error) {
				return 0, deadline.Require(ctx, 30*ms)
			})
			time.Sleep(60 * ms)
			return v, err
		})
		require.EqualError(t, err, "deadline: request: 50ms exceeded: deadline: db: need 30ms, 20ms left")
	})
}

func TestRequireFailsOnceTheContextHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		out, cancel := deadline.With(ctx, "db", 50*ms)
		defer cancel()
		<-out.Done()
		require.Equal(t, &deadline.Error{Name: "db", Limit: 50 * ms}, deadline.Require(out, 0))

		gone, cancel2 := context.WithCancel(ctx)
		cancel2()
		require.Equal(t, context.Canceled, deadline.Require(gone, 0))

		hungUp := errors.New("hung up")
		why, cancel3 := context.WithCancelCause(ctx)
		cancel3(hungUp)
		err := deadline.Require(why, 0)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, hungUp)
	})
}

func TestDoReturnsTheResult(t *testing.T) {
	v, err := deadline.Do(t.Context(), "db", time.Hour, func(ctx context.Context) (int, error) {
		left, ok := deadline.Remaining(ctx)
		require.True(t, ok)
		require.LessOrEqual(t, left, time.Hour)
		return 7, nil
	})
	require.NoError(t, err)
	require.Equal(t, 7, v)
}

func TestDoReturnsAResultThatIsLate(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		v, err := deadline.Do(ctx, "db", 50*ms, func(context.Context) (int, error) {
			time.Sleep(80 * ms)
			return 7, nil
		})
		require.NoError(t, err)
		require.Equal(t, 7, v)
		require.Equal(t, 80*ms, now())
	})
}

func TestDoBlamesItsOwnBudget(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "request", time.Second)
		defer cancel()
		_, err := deadline.Do(ctx, "db", 50*ms, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, io.ErrUnexpectedEOF
		})
		require.Equal(t, &deadline.Error{Name: "db", Limit: 50 * ms, Err: io.ErrUnexpectedEOF}, err)
		require.Equal(t, 50*ms, now())
	})
}

func TestDoWaitsForAFunctionThatIgnoresItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		_, err := deadline.Do(ctx, "db", 50*ms, func(context.Context) (int, error) {
			time.Sleep(80 * ms)
			return 0, io.ErrUnexpectedEOF
		})
		require.Equal(t, &deadline.Error{Name: "db", Limit: 50 * ms, Err: io.ErrUnexpectedEOF}, err)
		require.Equal(t, 80*ms, now())
	})
}

func TestDoBlamesTheOuterBudgetThatHadLessLeft(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "request", 50*ms)
		defer cancel()
		_, err := deadline.Do(ctx, "db", time.Second, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, io.ErrUnexpectedEOF
		})
		require.Equal(t, &deadline.Error{Name: "request", Limit: 50 * ms, Inherited: true, Err: io.ErrUnexpectedEOF}, err)
	})
}

func TestDoBlamesAForeignDeadlineWithoutAName(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, 50*ms)
		defer cancel()
		_, err := deadline.Do(ctx, "db", time.Second, untilDone)
		require.Equal(t, &deadline.Error{Inherited: true, Err: context.DeadlineExceeded}, err)
	})
}

func TestDoReportsABudgetOnceThroughNestedCalls(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		_, err := deadline.Do(ctx, "request", 50*ms, func(ctx context.Context) (int, error) {
			return deadline.Do(ctx, "db", time.Second, func(ctx context.Context) (int, error) {
				return deadline.Do(ctx, "row", time.Second, untilDone)
			})
		})
		require.Equal(t, &deadline.Error{Name: "request", Limit: 50 * ms, Err: context.DeadlineExceeded}, err)
		require.EqualError(t, err, "deadline: request: 50ms exceeded")
	})
}

func TestDoReportsBothBudgetsWhenBothRanOut(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		_, err := deadline.Do(ctx, "request", 50*ms, func(ctx context.Context) (int, error) {
			v, err := deadline.Do(ctx, "db", 20*ms, untilDone)
			time.Sleep(40 * ms)
			return v, err
		})
		require.EqualError(t, err, "deadline: request: 50ms exceeded: deadline: db: 20ms exceeded")
	})
}

func TestDoReturnsAnErrorAsItIsWhileThereIsTime(t *testing.T) {
	v, err := deadline.Do(t.Context(), "db", time.Hour, func(context.Context) (int, error) {
		return 3, io.ErrUnexpectedEOF
	})
	require.Equal(t, io.ErrUnexpectedEOF, err)
	require.Equal(t, 3, v)
}

func TestDoReturnsAnErrorAsItIsWhenCancelled(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithCancel(ctx)
		_, err := deadline.Do(ctx, "db", 50*ms, func(context.Context) (int, error) {
			cancel()
			time.Sleep(80 * ms)
			return 0, io.ErrUnexpectedEOF
		})
		require.Equal(t, io.ErrUnexpectedEOF, err)
	})
}

func TestDoDoesNotCallWhenTimeIsOver(t *testing.T) {
	never := func(context.Context) (int, error) { panic("called") }
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		_, err := deadline.Do(ctx, "db", 0, never)
		require.Equal(t, &deadline.Error{Name: "db"}, err)
		_, err = deadline.Do(ctx, "db", -ms, never)
		require.Equal(t, &deadline.Error{Name: "db", Limit: -ms}, err)

		ctx, cancel := deadline.With(ctx, "request", 50*ms)
		defer cancel()
		<-ctx.Done()
		_, err = deadline.Do(ctx, "db", time.Second, never)
		require.Equal(t, &deadline.Error{Name: "request", Limit: 50 * ms, Inherited: true}, err)
	})
}

func TestDoDoesNotCallWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := deadline.Do(ctx, "db", time.Second, func(context.Context) (int, error) { panic("called") })
	require.Equal(t, context.Canceled, err)
}

// lateTimer is a context whose deadline passes without its timer having run, as happens between the moment and the
// runtime's looking at its timers.
type lateTimer struct {
	context.Context
	deadline time.Time
}

func (c lateTimer) Deadline() (time.Time, bool) { return c.deadline, true }

func TestDoGoesByTheClockBeforeTheTimerHasRun(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx = lateTimer{ctx, time.Now().Add(50 * ms)}
		_, err := deadline.Do(ctx, "db", time.Second, func(ctx context.Context) (int, error) {
			time.Sleep(50 * ms)
			require.NoError(t, ctx.Err())
			return 0, os.ErrDeadlineExceeded
		})
		require.Equal(t, &deadline.Error{Inherited: true, Err: os.ErrDeadlineExceeded}, err)

		_, err = deadline.Do(ctx, "db", time.Second, func(context.Context) (int, error) { panic("called") })
		require.Equal(t, &deadline.Error{Inherited: true}, err)
	})
}

// The socket's timer and the context's race to the same moment, which a fake clock cannot show.
func TestDoTellsWhoseTimeItWasWhenASocketIsFaster(t *testing.T) {
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, ln.Close()) }()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()

	read := func(ctx context.Context) (int, error) {
		t, _ := ctx.Deadline()
		if err := conn.SetReadDeadline(t); err != nil {
			return 0, err
		}
		return conn.Read(make([]byte, 1))
	}
	for range 50 {
		_, err := deadline.Do(t.Context(), "read", ms, read)
		var e *deadline.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "read", e.Name)
		require.False(t, e.Inherited)

		ctx, cancel := deadline.With(t.Context(), "request", ms)
		_, err = deadline.Do(ctx, "read", time.Minute, read)
		require.ErrorAs(t, err, &e)
		require.Equal(t, "request", e.Name)
		require.True(t, e.Inherited)
		cancel()
	}
}

func TestDoLetsPanicsFlyAndStopsItsTimer(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var state func() error
		require.PanicsWithValue(t, "boom", func() {
			_, _ = deadline.Do(ctx, "db", time.Hour, func(ctx context.Context) (int, error) {
				state = ctx.Err
				panic("boom")
			})
		})
		require.Equal(t, context.Canceled, state())
	})
}
