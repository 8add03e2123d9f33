package executor_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

func TestSubmitReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: 1})
		start := time.Now()
		first := executor.Submit(t.Context(), p, sleep(time.Second))
		second := executor.Submit(context.Background(), p, sleep(2*time.Second))
		third := executor.Submit(t.Context(), p, never)
		require.Zero(t, time.Since(start))

		_, err := third.Await(t.Context())
		require.Equal(t, executor.ErrQueueFull, err)
		require.Zero(t, time.Since(start))
		got, err := second.Await(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, got)
		require.Equal(t, 3*time.Second, time.Since(start))
		got, err = first.Await(t.Context())
		require.NoError(t, err)
		require.Equal(t, time.Second, got)
	})
}

func TestAwaitServesSeveralGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		f := executor.Submit(t.Context(), p, sleep(time.Second))
		var calls []<-chan ending[time.Duration]
		for range 3 {
			calls = append(calls, background(func() (time.Duration, error) { return f.Await(t.Context()) }))
		}
		for _, call := range calls {
			require.Equal(t, ending[time.Duration]{time.Second, nil, time.Second}, <-call)
		}
		got, err := f.Await(t.Context())
		require.NoError(t, err)
		require.Equal(t, time.Second, got)
	})
}

func TestAwaitEndsWithItsCtxAndCanBeCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		f := executor.Submit(t.Context(), p, sleep(time.Minute))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		_, err := f.Await(ctx)
		require.Equal(t, errCause, err)
		require.Zero(t, p.Stats().Abandoned)
		got, err := f.Await(t.Context())
		require.NoError(t, err)
		require.Equal(t, time.Minute, got)
		got, err = f.Await(ctx) // a result that is there comes before the end of ctx
		require.NoError(t, err)
		require.Equal(t, time.Minute, got)
	})
}

func TestSubmittedCallsEndWithTheirCtxAwaitedOrNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Name: "pdf", Workers: 1})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		running := executor.Submit(ctx, p, sleep(time.Minute), executor.Name("render"))
		queued := executor.Submit(ctx, p, never)
		require.Equal(t, 1, p.Stats().Queued)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, executor.Stats{
			Workers: 1, Running: 1, Abandoned: 1, Oldest: time.Second, OldestAbandoned: time.Second,
		}, load(p))

		late := executor.Submit(ctx, p, never)
		time.Sleep(2 * time.Minute)
		_, err := running.Await(t.Context())
		var abandoned *executor.AbandonedError
		require.ErrorAs(t, err, &abandoned)
		require.Equal(t, executor.AbandonedError{Pool: "pdf", Name: "render", Running: time.Second, Cause: errCause}, *abandoned)
		for _, f := range []*executor.Future[int]{queued, late} {
			_, err = f.Await(t.Context())
			require.ErrorIs(t, err, executor.ErrNotStarted)
			require.ErrorIs(t, err, errCause)
		}
	})
}

func TestSubmittedCallsThatDoNotReturnComeBackAsErrors(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1, Queue: 2})
	a := executor.Submit(t.Context(), p, func(context.Context) (int, error) { panic(errCause) })
	b := executor.Submit(t.Context(), p, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
	c := executor.Submit(t.Context(), p, noop)
	_, err := a.Await(t.Context())
	require.ErrorIs(t, err, errCause)
	_, err = b.Await(t.Context())
	require.Equal(t, executor.ErrGoexit, err)
	got, err := c.Await(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, got)
}

func TestSubmitWithInlinePanics(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1})
	require.PanicsWithValue(t, "executor: Submit called with Inline", func() {
		executor.Submit(t.Context(), p, noop, executor.Inline())
	})
}

// watched is a ctx that counts who watches for its end, which never comes.
type watched struct {
	context.Context
	end      chan struct{}
	watchers int
}

func (w *watched) Done() <-chan struct{} { return w.end }

func (w *watched) AfterFunc(func()) func() bool {
	w.watchers++
	return func() bool {
		w.watchers--
		return true
	}
}

func TestSubmittedCallsWatchTheirCtxUntilTheyEnd(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1, Queue: executor.NoQueue})
	ctx := &watched{Context: context.Background(), end: make(chan struct{})}
	release := make(chan struct{})
	f := executor.Submit(ctx, p, func(context.Context) (int, error) { return stuckForever(release) })
	require.Equal(t, 1, ctx.watchers)
	close(release)
	_, err := f.Await(t.Context())
	require.NoError(t, err)
	require.Equal(t, 0, ctx.watchers)

	release = make(chan struct{})
	go executor.Do(cancellable(t), p, func(context.Context) (int, error) { return stuckForever(release) })
	for p.Stats().Running == 0 {
		runtime.Gosched()
	}
	_, err = executor.Submit(ctx, p, never).Await(t.Context())
	require.Equal(t, executor.ErrQueueFull, err)
	require.Equal(t, 0, ctx.watchers)
	close(release)
}

// hasty is a ctx that ends while a pool looks for the call that it belongs to.
type hasty struct {
	context.Context
	cancel context.CancelFunc
}

func (h *hasty) Value(key any) any {
	if fmt.Sprintf("%T", key) == "executor.callKey" {
		h.cancel()
		synctest.Wait()
	}
	return h.Context.Value(key)
}

func TestSubmitDoesNotQueueACallThatHasBeenLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		running := executor.Submit(t.Context(), p, sleep(time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		f := executor.Submit(&hasty{ctx, cancel}, p, never)
		require.Equal(t, 0, p.Stats().Queued)
		_, err := f.Await(t.Context())
		require.ErrorIs(t, err, executor.ErrNotStarted)
		_, err = running.Await(t.Context())
		require.NoError(t, err)
	})
}
