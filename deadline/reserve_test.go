package deadline_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
)

func TestReserveEndsBeforeTheParent(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		outer, stop := deadline.With(ctx, "request", 100*ms)
		defer stop()
		time.Sleep(10 * ms)
		ctx, cancel := deadline.Reserve(outer, "answer", 20*ms)
		defer cancel()
		<-ctx.Done()
		require.Equal(t, 80*ms, now())
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Name: "answer", Limit: 70 * ms}, e)
		require.NoError(t, deadline.Require(outer, 20*ms))
	})
}

func TestReserveOfMoreThanIsLeftHasEndedAlready(t *testing.T) {
	for _, keep := range []time.Duration{50 * ms, 60 * ms} {
		bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
			outer, stop := context.WithTimeout(ctx, 50*ms)
			defer stop()
			ctx, cancel := deadline.Reserve(outer, "answer", keep)
			defer cancel()
			e, over := deadline.Cause(ctx)
			require.True(t, over)
			require.Equal(t, &deadline.Error{Name: "answer", Limit: 50*ms - keep}, e)
			require.NoError(t, outer.Err())
		})
	}
}

func TestReserveOfNothingEndsWithTheParent(t *testing.T) {
	for _, keep := range []time.Duration{0, -ms, math.MinInt64} {
		bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
			outer, stop := deadline.With(ctx, "request", 50*ms)
			defer stop()
			ctx, cancel := deadline.Reserve(outer, "answer", keep)
			defer cancel()
			<-ctx.Done()
			require.Equal(t, 50*ms, now())
			e, over := deadline.Cause(ctx)
			require.True(t, over)
			require.Equal(t, &deadline.Error{Name: "request", Limit: 50 * ms, Inherited: true}, e)
		})
	}
}

func TestShareEndsAfterItsPartOfWhatIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, stop := context.WithTimeout(ctx, 100*ms)
		defer stop()
		time.Sleep(20 * ms)
		ctx, cancel := deadline.Share(ctx, "cache", 0.25)
		defer cancel()
		<-ctx.Done()
		require.Equal(t, 40*ms, now())
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Name: "cache", Limit: 20 * ms}, e)
	})
}

func TestShareOfAllEndsWithTheParent(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, stop := deadline.With(ctx, "request", 100*ms)
		defer stop()
		ctx, cancel := deadline.Share(ctx, "cache", 1)
		defer cancel()
		<-ctx.Done()
		require.Equal(t, 100*ms, now())
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Name: "request", Limit: 100 * ms, Inherited: true}, e)
	})
}

func TestShareOfTimeThatIsOverHasEndedWithTheParent(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, stop := deadline.With(ctx, "request", 100*ms)
		defer stop()
		time.Sleep(110 * ms)
		ctx, cancel := deadline.Share(ctx, "cache", 0.5)
		defer cancel()
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Name: "request", Limit: 100 * ms, Inherited: true}, e)
	})
}

func TestReserveAndShareWithoutADeadlineOnlyCancel(t *testing.T) {
	for name, derive := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"Reserve": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return deadline.Reserve(ctx, "answer", 20*ms)
		},
		"Share": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return deadline.Share(ctx, "cache", 0.5)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := derive(t.Context())
			_, ok := ctx.Deadline()
			require.False(t, ok)
			require.NoError(t, ctx.Err())
			cancel()
			require.Equal(t, context.Canceled, context.Cause(ctx))
			_, over := deadline.Cause(ctx)
			require.False(t, over)
		})
	}
}

func TestSharePanicsOutsideItsRange(t *testing.T) {
	for _, fraction := range []float64{0, -0.5, 1.0001, math.NaN(), math.Inf(1)} {
		require.Panics(t, func() { deadline.Share(t.Context(), "cache", fraction) }, fraction)
	}
	require.PanicsWithValue(t, "deadline: Share of 2, which is not in (0, 1]", func() {
		deadline.Share(t.Context(), "cache", 2)
	})
}
