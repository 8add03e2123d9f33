package executor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/internal/stacks"
)

var errCause = errors.New("the user has left")

func newPool(t testing.TB, cfg executor.Config) *executor.Pool {
	p, err := executor.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// cancellable is a ctx that can end, so that calls go to a worker.
func cancellable(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx
}

// sleep is an fn that takes d and does not look at its ctx.
func sleep(d time.Duration) func(context.Context) (time.Duration, error) {
	return func(context.Context) (time.Duration, error) {
		time.Sleep(d)
		return d, nil
	}
}

// untilEnd is an fn that returns when its ctx ends.
func untilEnd(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, context.Cause(ctx)
}

// ending is how and when a call that went on in the background ended.
type ending[T any] struct {
	value T
	err   error
	after time.Duration
}

// background runs call in a goroutine of its own, and lets it get as far as it gets. For use in a bubble.
func background[T any](call func() (T, error)) <-chan ending[T] {
	start := time.Now()
	ended := make(chan ending[T], 1)
	go func() {
		value, err := call()
		ended <- ending[T]{value, err, time.Since(start)}
	}()
	synctest.Wait()
	return ended
}

func never(context.Context) (int, error) { panic("called") }

func TestNewNamesTheFieldThatIsOutOfBounds(t *testing.T) {
	for _, tt := range []struct {
		cfg  executor.Config
		want string
	}{
		{executor.Config{}, "executor: Config.Workers is 0, want at least 1"},
		{executor.Config{Workers: -3}, "executor: Config.Workers is -3, want at least 1"},
		{executor.Config{Workers: 1, Queue: -2}, "executor: Config.Queue is -2, want -1 (NoQueue) to 2147483647 (Unbounded)"},
	} {
		_, err := executor.New(tt.cfg)
		require.EqualError(t, err, tt.want)
	}
}

func TestPoolNotMadeByNewPanics(t *testing.T) {
	require.PanicsWithValue(t, "executor: Pool not made by New", func() {
		_, _ = executor.Do(cancellable(t), new(executor.Pool), noop)
	})
}

func TestDoReturnsWhatFnReturns(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 2})
	for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}} {
		got, err := executor.Do(cancellable(t), p, func(context.Context) (string, error) { return "x", errCause }, opts...)
		require.Equal(t, "x", got)
		require.Same(t, errCause, err)
		n, err := executor.Do(cancellable(t), p, noop, opts...)
		require.Equal(t, 1, n)
		require.NoError(t, err)
	}
}

func TestDoRunsAtMostWorkersCallsAndTheRestInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 2, Queue: executor.Unbounded})
		ctx := cancellable(t)
		var calls []<-chan ending[time.Duration]
		for range 6 {
			calls = append(calls, background(func() (time.Duration, error) {
				return executor.Do(ctx, p, sleep(time.Second))
			}))
		}
		require.Equal(t, executor.Stats{Workers: 2, Running: 2, Queued: 4}, p.Stats())
		time.Sleep(2500 * time.Millisecond)
		require.Equal(t, executor.Stats{Workers: 2, Running: 2, Oldest: 500 * time.Millisecond}, p.Stats())
		for i, call := range calls {
			require.Equal(t, ending[time.Duration]{time.Second, nil, time.Duration(i/2+1) * time.Second}, <-call)
		}
	})
}

func TestDoReturnsQueueFullAtOnce(t *testing.T) {
	for _, tt := range []struct{ queue, waiting int }{{0, 2}, {executor.NoQueue, 0}, {3, 3}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, executor.Config{Workers: 2, Queue: tt.queue})
			ctx := cancellable(t)
			for range 2 + tt.waiting {
				go executor.Do(ctx, p, sleep(time.Second))
			}
			synctest.Wait()
			start := time.Now()
			for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}} {
				_, err := executor.Do(ctx, p, never, opts...)
				require.Equal(t, executor.ErrQueueFull, err)
				require.ErrorIs(t, err, executor.ErrNotStarted)
			}
			require.Zero(t, time.Since(start))
			require.NoError(t, p.Drain(ctx))
		})
	}
}

func TestDoWithNoWaitReturnsQueueFullInsteadOfWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: executor.Unbounded})
		ctx := cancellable(t)
		_, err := executor.Do(ctx, p, noop, executor.NoWait())
		require.NoError(t, err)
		go executor.Do(ctx, p, sleep(time.Second))
		synctest.Wait()
		_, err = executor.Do(ctx, p, never, executor.NoWait())
		require.Equal(t, executor.ErrQueueFull, err)
		time.Sleep(time.Second)
	})
}

func TestDoFreesTheSlotBeforeItReturns(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1, Queue: executor.NoQueue})
	ctx := cancellable(t)
	for range 10_000 {
		_, err := executor.Do(ctx, p, noop)
		require.NoError(t, err)
	}
}

func TestDoNeverStartsACallWhoseCtxHasEnded(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}} {
		_, err := executor.Do(ctx, p, never, opts...)
		require.ErrorIs(t, err, executor.ErrNotStarted)
		require.ErrorIs(t, err, errCause)
		require.EqualError(t, err, "executor: call not started: the user has left")
	}
}

func TestDoLeavesTheQueueWhenCtxEnds(t *testing.T) {
	for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, executor.Config{Workers: 1, Queue: 1})
			go executor.Do(cancellable(t), p, sleep(time.Minute))
			synctest.Wait()
			start := time.Now()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
			defer cancel()
			_, err := executor.Do(ctx, p, never, opts...)
			require.Equal(t, time.Second, time.Since(start))
			require.ErrorIs(t, err, executor.ErrNotStarted)
			require.ErrorIs(t, err, errCause)
			require.Equal(t, 0, p.Stats().Queued)
			time.Sleep(time.Minute)
		})
	}
}

func TestDoAbandonsFnWhenCtxEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Name: "pdf", Workers: 1, Queue: executor.NoQueue})
		start := time.Now()
		ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errCause)
		defer cancel()
		got, err := executor.Do(ctx, p, sleep(time.Minute), executor.Name("render"))
		require.Equal(t, 2*time.Second, time.Since(start))
		require.Zero(t, got)
		var abandoned *executor.AbandonedError
		require.ErrorAs(t, err, &abandoned)
		require.Equal(t, executor.AbandonedError{Pool: "pdf", Name: "render", Running: 2 * time.Second, Cause: errCause}, *abandoned)
		require.ErrorIs(t, err, errCause)
		require.NotErrorIs(t, err, executor.ErrNotStarted)
		require.EqualError(t, err, `executor: abandoned render on pool "pdf" after 2s: the user has left`)

		// fn keeps its slot until it returns.
		time.Sleep(time.Second)
		require.Equal(t, executor.Stats{
			Workers: 1, Running: 1, Abandoned: 1, Oldest: 3 * time.Second, OldestAbandoned: 3 * time.Second,
		}, p.Stats())
		_, err = executor.Do(t.Context(), p, never)
		require.Equal(t, executor.ErrQueueFull, err)
		time.Sleep(57 * time.Second)
		synctest.Wait()
		require.Equal(t, executor.Stats{Workers: 1}, p.Stats())
		_, err = executor.Do(t.Context(), p, noop)
		require.NoError(t, err)
	})
}

func TestCallsWithoutNameAreNamedAfterFn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := executor.Do(ctx, p, slow)
		var abandoned *executor.AbandonedError
		require.ErrorAs(t, err, &abandoned)
		require.Equal(t, "github.com/grove-go/grove/executor_test.slow", abandoned.Name)
		time.Sleep(time.Hour)
	})
}

func slow(context.Context) (int, error) { time.Sleep(time.Hour); return 0, nil }

func TestDoRunsFnOnTheCallersGoroutine(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1})
	here := func(ctx context.Context, opts ...executor.CallOption) bool {
		id, err := executor.Do(ctx, p, func(context.Context) (uint64, error) { return stacks.ID(), nil }, opts...)
		require.NoError(t, err)
		return id == stacks.ID()
	}
	require.True(t, here(t.Context(), executor.Inline()))
	require.True(t, here(context.Background()))
	require.False(t, here(t.Context()))
}

func TestInlineCallsWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: executor.Unbounded})
		ctx := cancellable(t)
		var calls []<-chan ending[time.Duration]
		for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}, nil, {executor.Inline()}, {executor.Inline()}, nil} {
			calls = append(calls, background(func() (time.Duration, error) {
				return executor.Do(ctx, p, sleep(time.Second), opts...)
			}))
		}
		for i, call := range calls {
			require.Equal(t, ending[time.Duration]{time.Second, nil, time.Duration(i+1) * time.Second}, <-call)
		}
	})
}

func TestPanicComesBackAsAnError(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1})
	for _, opts := range [][]executor.CallOption{{executor.Name("job")}, {executor.Name("job"), executor.Inline()}} {
		for range 3 { // and the pool goes on
			_, err := executor.Do(cancellable(t), p, func(context.Context) (int, error) { panic(errCause) }, opts...)
			var p *executor.PanicError
			require.ErrorAs(t, err, &p)
			require.ErrorIs(t, err, errCause)
			require.Equal(t, "job", p.Task)
			require.Contains(t, strings.Split(string(p.Stack), "\n")[1], "TestPanicComesBackAsAnError")
		}
	}
	require.Equal(t, executor.Stats{Workers: 1}, p.Stats())
}

func TestGoexitComesBackAsAnError(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1, Queue: executor.Unbounded})
	ctx := cancellable(t)
	failed := make(chan error)
	for range 5 {
		go func() {
			_, err := executor.Do(ctx, p, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
			failed <- err
		}()
	}
	for range 5 {
		require.Equal(t, executor.ErrGoexit, <-failed)
	}
	_, err := executor.Do(ctx, p, noop)
	require.NoError(t, err)
}

func TestGoexitGoesOnOnTheCallersOwnGoroutine(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1, Queue: executor.NoQueue})
	gone := make(chan bool)
	go func() {
		returned := false
		defer func() { gone <- !returned }()
		_, _ = executor.Do(context.Background(), p, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
		returned = true
	}()
	require.True(t, <-gone)
	_, err := executor.Do(cancellable(t), p, noop)
	require.NoError(t, err)
}

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

func TestDoAllocatesNothing(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1})
	ctx := cancellable(t)
	for name, opts := range map[string][]executor.CallOption{"worker": nil, "inline": {executor.Inline()}} {
		require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = executor.Do(ctx, p, noop, opts...) }), name)
	}
	other, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		ctx, other = other, ctx
		_, _ = executor.Do(ctx, p, noop)
	}), "another ctx each time")
}

func TestConcurrentCallsKeepTheLimit(t *testing.T) {
	const workers, callers, calls = 3, 16, 300
	p := newPool(t, executor.Config{Workers: workers, Queue: callers})
	slots := make(chan int, workers)
	done := make(chan error)
	for i := range callers {
		go func() {
			var err error
			for n := range calls {
				ctx, cancel := context.WithCancel(context.Background())
				var opts []executor.CallOption
				if (i+n)%3 == 0 {
					opts = []executor.CallOption{executor.Inline()}
				}
				if (i+n)%5 == 0 {
					go cancel()
				}
				want := i*calls + n
				got, callErr := executor.Do(ctx, p, func(context.Context) (int, error) {
					select {
					case slots <- want:
					default:
						return 0, errors.New("more calls than workers")
					}
					runtime.Gosched()
					<-slots
					if n%7 == 0 {
						panic(errCause)
					}
					return want, nil
				}, opts...)
				cancel()
				var abandoned *executor.AbandonedError
				switch {
				case callErr == nil && got != want:
					err = fmt.Errorf("got %d, want %d", got, want)
				case callErr != nil && !errors.Is(callErr, errCause) && !errors.Is(callErr, executor.ErrNotStarted) &&
					!errors.As(callErr, &abandoned):
					err = callErr
				}
			}
			done <- err
		}()
	}
	for range callers {
		require.NoError(t, <-done)
	}
	require.NoError(t, p.Close())
	require.Equal(t, executor.Stats{Workers: workers}, p.Stats())
}
