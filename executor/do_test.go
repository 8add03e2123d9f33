package executor_test

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/internal/stacks"
)

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
		require.Equal(t, executor.Stats{Workers: 2, Running: 2, Queued: 4}, load(p))
		time.Sleep(2500 * time.Millisecond)
		require.Equal(t, executor.Stats{Workers: 2, Running: 2, Oldest: 500 * time.Millisecond}, load(p))
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
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // holds the pool's lock as often as it can
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				p.Stats()
				runtime.Gosched()
			}
		}
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	for range 5_000 {
		_, err := executor.Do(ctx, p, noop)
		require.NoError(t, err)
		_, err = executor.Submit(ctx, p, noop).Await(ctx)
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

// mute is a ctx that ends without telling anybody who waits for that.
type mute struct {
	context.Context
	ended atomic.Bool
}

func (m *mute) Err() error {
	if m.ended.Load() {
		return context.Canceled
	}
	return m.Context.Err()
}

func TestDoNeverStartsACallWhoseCtxEndsAsItsTurnComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: executor.Unbounded})
		go executor.Do(cancellable(t), p, sleep(time.Minute))
		synctest.Wait()
		ctx := &mute{Context: cancellable(t)}
		var calls []<-chan ending[int]
		for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}, nil, {executor.Inline()}} {
			calls = append(calls, background(func() (int, error) { return executor.Do(ctx, p, never, opts...) }))
		}
		ctx.ended.Store(true)
		for _, call := range calls {
			got := <-call
			require.Equal(t, time.Minute, got.after)
			require.ErrorIs(t, got.err, executor.ErrNotStarted)
			require.ErrorIs(t, got.err, context.Canceled)
		}
		require.Equal(t, executor.Stats{Workers: 1}, load(p))
	})
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
		}, load(p))
		_, err = executor.Do(t.Context(), p, never)
		require.Equal(t, executor.ErrQueueFull, err)
		time.Sleep(57 * time.Second)
		synctest.Wait()
		require.Equal(t, executor.Stats{Workers: 1}, load(p))
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
	require.Equal(t, executor.Stats{Workers: 1}, load(p))
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
