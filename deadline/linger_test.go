package deadline_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
)

type valueKey struct{}

func TestCleanupHasItsTimeAlthoughItsCallerIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, stop := deadline.With(context.WithValue(ctx, valueKey{}, 7), "request", 50*ms)
		stop()
		ctx, cancel := deadline.Cleanup(ctx, 20*ms)
		defer cancel()
		require.Equal(t, 7, ctx.Value(valueKey{}))
		<-ctx.Done()
		require.Equal(t, 20*ms, now())
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Name: "cleanup", Limit: 20 * ms}, e)
	})
}

func TestCleanupIsNotEndedByItsCaller(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		outer, stop := deadline.With(ctx, "request", 50*ms)
		defer stop()
		ctx, cancel := deadline.Cleanup(outer, 80*ms)
		<-outer.Done()
		require.NoError(t, ctx.Err())
		cancel()
		require.Equal(t, context.Canceled, ctx.Err())
		require.Equal(t, 50*ms, now())
	})
}

func TestLingerEndsAfterACancelledParent(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		outer, stop := context.WithCancel(context.WithValue(ctx, valueKey{}, 7))
		ctx, cancel := deadline.Linger(outer, 20*ms)
		defer cancel()
		require.Equal(t, 7, ctx.Value(valueKey{}))
		_, ok := ctx.Deadline()
		require.False(t, ok)

		time.Sleep(30 * ms)
		stop()
		synctest.Wait()
		require.NoError(t, ctx.Err())
		<-ctx.Done()
		require.Equal(t, 50*ms, now())
		require.Equal(t, context.Canceled, ctx.Err())
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Name: "linger", Limit: 20 * ms}, e)
	})
}

func TestDoBlamesTheLingeringThatEndedIt(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		outer, stop := context.WithCancel(ctx)
		ctx, cancel := deadline.Linger(outer, 20*ms)
		defer cancel()
		stop()
		_, err := deadline.Do(ctx, "flush", time.Hour, untilDone)
		require.Equal(t, &deadline.Error{Name: "linger", Limit: 20 * ms, Inherited: true, Err: context.Canceled}, err)
	})
}

func TestLingerEndsAfterTheDeadlineOfItsParent(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		outer, stop := deadline.With(ctx, "request", 50*ms)
		defer stop()
		ctx, cancel := deadline.Linger(outer, 20*ms)
		defer cancel()
		left, _ := deadline.Remaining(ctx)
		require.Equal(t, 70*ms, left)
		<-outer.Done()
		require.NoError(t, ctx.Err())
		<-ctx.Done()
		require.Equal(t, 70*ms, now())
		require.Equal(t, context.DeadlineExceeded, ctx.Err())
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Name: "linger", Limit: 20 * ms}, e)
	})
}

func TestLingerEndsAfterAParentThatIsCancelledBeforeItsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		outer, stop := deadline.With(ctx, "request", 50*ms)
		ctx, cancel := deadline.Linger(outer, 20*ms)
		defer cancel()
		time.Sleep(10 * ms)
		stop()
		<-ctx.Done()
		require.Equal(t, 30*ms, now())
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, "linger", e.Name)
	})
}

func TestLingerOfAContextThatHasEndedCountsFromNow(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		outer, stop := deadline.With(ctx, "request", 10*ms)
		defer stop()
		time.Sleep(50 * ms)
		ctx, cancel := deadline.Linger(outer, 20*ms)
		defer cancel()
		<-ctx.Done()
		require.Equal(t, 70*ms, now())
	})
}

func TestLingerOfNothingEndsWithTheParent(t *testing.T) {
	for _, d := range []time.Duration{0, -ms} {
		bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
			outer, stop := deadline.With(ctx, "request", 50*ms)
			defer stop()
			ctx, cancel := deadline.Linger(outer, d)
			defer cancel()
			<-ctx.Done()
			require.Equal(t, 50*ms, now())
		})
	}
}

func TestLingerEndsNoMoreOnceCancelled(t *testing.T) {
	for _, sleep := range []time.Duration{0, 10 * ms, 15 * ms} { // before, at and after the parent's end
		bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
			outer, stop := context.WithCancel(ctx)
			time.AfterFunc(10*ms, stop)
			ctx, cancel := deadline.Linger(outer, 10*ms)
			time.Sleep(sleep)
			cancel()
			cancel()
			require.Equal(t, context.Canceled, context.Cause(ctx))
			time.Sleep(time.Second)
			_, over := deadline.Cause(ctx)
			require.False(t, over)
		})
	}
}

func TestLingerCancelLeavesNothingWithTheParent(t *testing.T) {
	parent, stop := context.WithCancel(t.Context())
	defer stop()
	held := func() weak.Pointer[[64]byte] {
		value := new([64]byte)
		_, cancel := deadline.Linger(context.WithValue(parent, valueKey{}, value), time.Hour)
		cancel()
		return weak.Make(value)
	}()
	runtime.GC()
	require.Nil(t, held.Value()) // what a context holds can be collected once nothing refers to it
}

func TestLingerWaitsWithoutAGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		outer, stop := context.WithCancel(ctx)
		before := runtime.NumGoroutine()
		for range 100 {
			_, cancel := deadline.Linger(outer, time.Hour)
			defer cancel()
			_, cancel = deadline.Cleanup(outer, time.Hour)
			defer cancel()
		}
		synctest.Wait()
		require.LessOrEqual(t, runtime.NumGoroutine(), before)
		stop()
	})
}
