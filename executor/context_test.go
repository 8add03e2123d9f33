package executor_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

func TestFnsCtxHasTheCallersValuesAndDeadline(t *testing.T) {
	type key struct{}
	p := newPool(t, executor.Config{Workers: 1})
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Hour)
	defer cancel()
	deadline, _ := ctx.Deadline()
	_, err := executor.Do(ctx, p, func(ctx context.Context) (int, error) {
		for range 2 {
			got, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, deadline, got)
			require.Equal(t, "value", ctx.Value(key{}))
			require.NoError(t, ctx.Err())
			require.NoError(t, context.Cause(ctx))
			ctx.Done() // from here on it is a ctx of its own
		}
		return 0, nil
	})
	require.NoError(t, err)
}

func TestFnsCtxEndsWithTheCallers(t *testing.T) {
	for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, executor.Config{Workers: 1})
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
			defer cancel()
			_, err := executor.Do(ctx, p, untilEnd, opts...)
			require.ErrorIs(t, err, errCause)
		})
	}
}

func TestFnsCtxEndsWhenFnReturns(t *testing.T) {
	for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}} {
		for _, asked := range []bool{false, true} {
			p := newPool(t, executor.Config{Workers: 1})
			ctx := cancellable(t)
			keep := func(kept *context.Context) {
				_, err := executor.Do(ctx, p, func(ctx context.Context) (int, error) {
					if asked {
						ctx.Done()
					}
					*kept = ctx
					return 0, nil
				}, opts...)
				require.NoError(t, err)
			}
			var first, second context.Context
			keep(&first)
			_, err := executor.Do(ctx, p, func(context.Context) (int, error) {
				// It stays ended while a call with the same ctx runs, whenever it is asked.
				require.Equal(t, context.Canceled, first.Err())
				<-first.Done()
				return 0, nil
			}, opts...)
			require.NoError(t, err)
			require.Equal(t, context.Canceled, context.Cause(first))
			keep(&second)
			<-second.Done()
			require.NoError(t, ctx.Err())
		}
	}
}

// goroutines is how many goroutines the bubble of the caller has.
func goroutines() int {
	buf := make([]byte, 1<<20)
	own := buf[:runtime.Stack(buf, false)]
	_, after, _ := bytes.Cut(own, []byte("synctest bubble "))
	number, _, _ := bytes.Cut(after, []byte("]"))
	bubble := fmt.Appendf(nil, "synctest bubble %s]:", number)
	return bytes.Count(buf[:runtime.Stack(buf, true)], bubble)
}

func TestContextsMadeFromFnsCtxNeedNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		_, err := executor.Do(cancellable(t), p, func(ctx context.Context) (int, error) {
			synctest.Wait()
			before := goroutines()
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			stop := context.AfterFunc(ctx, func() {})
			defer stop()
			require.Equal(t, before, goroutines())
			return 0, nil
		})
		require.NoError(t, err)
	})
}
