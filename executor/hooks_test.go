package executor_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

// report is what an observer was told of a call.
type report struct {
	executor.CallInfo
	err     error
	started bool
}

// diary keeps what it is told.
type diary struct {
	mu      sync.Mutex
	reports []report
}

func (d *diary) hooks(t *testing.T, ctx context.Context) *executor.Hooks {
	keep := func(started bool) func(context.Context, executor.CallInfo, error) {
		return func(got context.Context, c executor.CallInfo, err error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			require.Equal(t, ctx, got)
			d.reports = append(d.reports, report{c, err, started})
		}
	}
	return &executor.Hooks{CallEnded: keep(true), CallRefused: keep(false)}
}

// last is the only report since the last one.
func (d *diary) last(t *testing.T) report {
	d.mu.Lock()
	defer d.mu.Unlock()
	require.Len(t, d.reports, 1)
	r := d.reports[0]
	d.reports = nil
	return r
}

func TestObserversAreToldHowEachCallEndsForItsCaller(t *testing.T) {
	do := func(ctx context.Context, p *executor.Pool, f fn, opts ...executor.CallOption) (int, error) {
		return executor.Do(ctx, p, f, opts...)
	}
	inline := func(ctx context.Context, p *executor.Pool, f fn, opts ...executor.CallOption) (int, error) {
		return executor.Do(ctx, p, f, append(opts, executor.Inline())...)
	}
	submit := func(ctx context.Context, p *executor.Pool, f fn, opts ...executor.CallOption) (int, error) {
		return executor.Submit(ctx, p, f, opts...).Await(context.Background())
	}
	for name, call := range map[string]func(context.Context, *executor.Pool, fn, ...executor.CallOption) (int, error){
		"do": do, "inline": inline, "submit": submit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				var first, second diary
				p := newPool(t, executor.Config{Name: "pdf", Workers: 1, Queue: 1, Hooks: first.hooks(t, ctx)})
				p.Observe(second.hooks(t, ctx))
				opts := []executor.CallOption{executor.Name("job"), executor.Key("tenant"), executor.Priority(executor.High)}
				info := executor.CallInfo{Pool: "pdf", Name: "job", Key: "tenant", Priority: executor.High}
				told := func(want report) {
					t.Helper()
					synctest.Wait()
					require.Equal(t, want, first.last(t))
					require.Equal(t, want, second.last(t))
				}
				took := func(wait, run time.Duration) executor.CallInfo {
					i := info
					i.Wait, i.Run = wait, run
					return i
				}

				_, err := call(ctx, p, func(context.Context) (int, error) { time.Sleep(time.Second); return 0, errCause }, opts...)
				require.Equal(t, errCause, err)
				told(report{took(0, time.Second), errCause, true})

				_, err = call(ctx, p, func(context.Context) (int, error) { panic("x") }, opts...)
				told(report{took(0, 0), err, true})

				if name != "inline" {
					_, err = call(ctx, p, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, opts...)
					told(report{took(0, 0), err, true})
				}

				// One runs, one waits, and one is refused.
				running := background(func() (int, error) {
					return call(ctx, p, func(context.Context) (int, error) { time.Sleep(time.Second); return 0, nil }, opts...)
				})
				waiting := background(func() (int, error) { return call(ctx, p, noop, opts...) })
				_, err = call(ctx, p, never, opts...)
				require.Equal(t, executor.ErrQueueFull, err)
				told(report{took(0, 0), err, false})
				require.NoError(t, (<-running).err)
				require.NoError(t, (<-waiting).err)
				synctest.Wait()
				for _, d := range []*diary{&first, &second} {
					require.ElementsMatch(t, []report{
						{took(0, time.Second), nil, true},
						{took(time.Second, 0), nil, true},
					}, d.reports)
					d.reports = nil
				}

				// The caller of one leaves it while it runs, that of another while it waits.
				if name != "inline" {
					time.AfterFunc(time.Second, func() { cancel(errCause) })
					abandoned := background(func() (int, error) {
						return call(ctx, p, func(context.Context) (int, error) { time.Sleep(time.Minute); return 0, nil }, opts...)
					})
					left := <-abandoned
					told(report{took(0, time.Second), left.err, true})
					time.Sleep(time.Minute)
					synctest.Wait()
					require.Empty(t, first.reports) // that fn returns is no news
				}
				cancel(errCause)
				_, err = call(ctx, p, never, opts...)
				require.ErrorIs(t, err, executor.ErrNotStarted)
				told(report{took(0, 0), err, false})
			})
		})
	}
}

func TestObserversAreToldOfCallsThatNeverStart(t *testing.T) {
	for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, executor.Config{Workers: 1, Queue: 1})
			go executor.Do(cancellable(t), p, sleep(time.Minute))
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var d diary
			p.Observe(d.hooks(t, ctx))
			_, err := executor.Do(ctx, p, never, append(opts, executor.Name("late"))...)
			require.Equal(t, report{executor.CallInfo{Name: "late", Wait: time.Second}, err, false}, d.last(t))
			time.Sleep(time.Minute)
		})
	}
}

func TestObserversAreToldWhatDrainDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		ctx := cancellable(t)
		p := newPool(t, executor.Config{Workers: 1, Hooks: d.hooks(t, ctx)})
		release := make(chan struct{})
		stuck := executor.Submit(ctx, p, func(context.Context) (int, error) { return stuckForever(release) }, executor.Name("stuck"))
		executor.Submit(ctx, p, never, executor.Name("queued"))
		synctest.Wait()
		require.Error(t, p.Close())
		_, err := stuck.Await(ctx)
		require.Equal(t, []report{
			{executor.CallInfo{Name: "queued"}, executor.ErrClosed, false},
			{executor.CallInfo{Name: "stuck", Run: 100 * time.Millisecond}, err, true},
		}, d.reports)
		require.Equal(t, executor.Refusals{Closed: 1}, p.Stats().Refused)
		close(release)
		require.NoError(t, p.Drain(ctx))
	})
}

func TestHooksMayBeNil(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1, Hooks: &executor.Hooks{}})
	p.Observe(nil)
	_, err := executor.Do(cancellable(t), p, noop)
	require.NoError(t, err)
	_, err = executor.Do(ended(), p, never)
	require.ErrorIs(t, err, executor.ErrNotStarted)
}

func TestCallsOfBusyPoolsCountAsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Name: "pdf", Workers: 1, Queue: 2})
		ctx := cancellable(t)
		for range 3 {
			executor.Submit(ctx, p, sleep(time.Minute))
		}
		time.Sleep(time.Second)
		for range 4 {
			_, err := executor.Do(ctx, p, never)
			require.Equal(t, executor.ErrQueueFull, err)
		}
		require.Equal(t, executor.Stats{
			Name: "pdf", Workers: 1, Limit: 1, Queue: 2, Running: 1, Queued: 2, Oldest: time.Second, OldestQueued: time.Second,
			Refused: executor.Refusals{QueueFull: 4},
		}, p.Stats())
		require.NoError(t, p.Drain(ctx))
		_, err := executor.Do(ctx, p, never)
		require.ErrorIs(t, err, executor.ErrClosed)
		require.Equal(t, executor.Refusals{QueueFull: 4, Closed: 1}, p.Stats().Refused)
	})
}

// A hook that hangs is on a goroutine of its own, and so is one that ends it.
func TestHooksOfFuturesHoldNobodyUp(t *testing.T) {
	for name, hook := range map[string]func(release <-chan struct{}){
		"a hook that does not return": func(release <-chan struct{}) { <-release },
		"a hook that calls Goexit":    func(<-chan struct{}) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				told := func(context.Context, executor.CallInfo, error) { hook(release) }
				p := newPool(t, executor.Config{Workers: 2, Hooks: &executor.Hooks{CallEnded: told, CallRefused: told}})
				f := executor.Submit(t.Context(), p, noop)
				executor.Submit(t.Context(), p, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
				executor.Submit(ended(), p, never)
				synctest.Wait()
				require.Equal(t, executor.Stats{Workers: 2}, load(p))
				polite, stuck := make(chan error, 1), make(chan struct{})
				executor.Submit(t.Context(), p, func(ctx context.Context) (int, error) {
					_, err := untilEnd(ctx)
					polite <- err
					return 0, err
				})
				executor.Submit(t.Context(), p, func(context.Context) (int, error) { return stuckForever(stuck) })
				executor.Submit(t.Context(), p, never)
				synctest.Wait()
				start := time.Now()
				var left *executor.DrainError
				require.ErrorAs(t, p.Close(), &left)
				require.Equal(t, 100*time.Millisecond, time.Since(start))
				require.Equal(t, executor.ErrDraining, <-polite)
				require.Len(t, left.Running, 1)
				close(release)
				close(stuck)
				_, err := f.Await(t.Context())
				require.NoError(t, err)
				require.NoError(t, p.Drain(t.Context()))
			})
		})
	}
}
