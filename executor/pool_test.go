package executor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

var errCause = errors.New("the user has left")

func newPool(t testing.TB, cfg executor.Config) *executor.Pool {
	p, err := executor.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// load is what p does now, without what it is called, has refused and has let wait.
func load(p *executor.Pool) executor.Stats {
	s := p.Stats()
	s.Name, s.Limit, s.Queue, s.OldestQueued, s.Refused = "", 0, 0, 0, executor.Refusals{}
	return s
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
		{executor.Config{Workers: 1, MaxWait: -1}, "executor: Config.MaxWait is -1ns, want at least 0"},
		{executor.Config{Workers: 1, PerKey: -1}, "executor: Config.PerKey is -1, want at least 0"},
		{executor.Config{Workers: 1, StuckAfter: -1}, "executor: Config.StuckAfter is -1ns, want at least 0"},
		{
			executor.Config{Workers: 1, OnStuck: func(executor.Running) {}},
			"executor: Config.OnStuck is set, want a StuckAfter above 0, too",
		},
		{
			executor.Config{Workers: 1, Overload: &executor.CoDel{Target: -1}},
			"executor: Config.Overload.Target is -1ns, want at least 0",
		},
		{
			executor.Config{Workers: 1, Overload: &executor.CoDel{Interval: -1}},
			"executor: Config.Overload.Interval is -1ns, want at least 0",
		},
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

func TestNilFunctionsPanic(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1})
	require.PanicsWithValue(t, "executor: Do called with a nil function", func() { _, _ = executor.Do[int](cancellable(t), p, nil) })
	require.PanicsWithValue(t, "executor: Submit called with a nil function", func() { executor.Submit[int](t.Context(), p, nil) })
	require.Equal(t, executor.Stats{Workers: 1}, load(p))
}

func TestLongQueuesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: executor.Unbounded})
		ctx := cancellable(t)
		for range 2 {
			var calls []<-chan ending[time.Duration]
			for range 1500 {
				calls = append(calls, background(func() (time.Duration, error) {
					return executor.Do(ctx, p, sleep(time.Second))
				}))
			}
			for i, call := range calls {
				require.Equal(t, ending[time.Duration]{time.Second, nil, time.Duration(i+1) * time.Second}, <-call)
			}
		}
	})
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

func TestAbandonedCallsDoNotUseUpWhatIsReused(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1, Queue: 1})
	for range 1100 {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		_, err := executor.Do(ctx, p, func(context.Context) (int, error) {
			cancel()
			return stuckForever(release)
		})
		require.ErrorIs(t, err, context.Canceled)
		close(release)
	}
	ctx := cancellable(t)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = executor.Do(ctx, p, noop) }))
}

func TestPoolKeepsNeitherResultsNorFns(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1})
	call := func(opts ...executor.CallOption) (result, captured weak.Pointer[[1 << 10]byte]) {
		big := new([1 << 10]byte)
		got, err := executor.Do(cancellable(t), p, func(context.Context) (*[1 << 10]byte, error) {
			big[0] = 1
			return new([1 << 10]byte), nil
		}, opts...)
		require.NoError(t, err)
		return weak.Make(got), weak.Make(big)
	}
	for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}} {
		result, captured := call(opts...)
		runtime.GC()
		require.Nil(t, result.Value())
		require.Nil(t, captured.Value())
	}
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
				if i == 0 {
					p.Resize(1 + n%workers)
					_ = p.Stats()
				}
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
	require.Equal(t, executor.Stats{Workers: 1 + (calls-1)%workers}, load(p))
}
