package executor_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

func TestDrainRefusesNewCallsAndRunsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: 3})
		ctx := cancellable(t)
		var futures []*executor.Future[time.Duration]
		for range 4 {
			futures = append(futures, executor.Submit(ctx, p, sleep(time.Second)))
		}
		drained := background(func() (any, error) { return nil, p.Drain(ctx) })
		for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}, {executor.NoWait()}} {
			_, err := executor.Do(ctx, p, never, opts...)
			require.Equal(t, executor.ErrClosed, err)
			require.ErrorIs(t, err, executor.ErrNotStarted)
		}
		_, err := executor.Submit(ctx, p, never).Await(ctx)
		require.Equal(t, executor.ErrClosed, err)
		require.Equal(t, ending[any]{nil, nil, 4 * time.Second}, <-drained)
		for _, f := range futures {
			_, err := f.Await(ctx)
			require.NoError(t, err)
		}
		require.Equal(t, executor.Stats{Workers: 1}, load(p))
	})
}

func TestDrainLetsRunningCallsNest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		f := executor.Submit(t.Context(), p, func(ctx context.Context) (int, error) {
			time.Sleep(time.Second)
			return executor.Do(ctx, p, noop)
		})
		synctest.Wait()
		require.NoError(t, p.Drain(t.Context()))
		got, err := f.Await(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, got)
	})
}

func TestDrainGivesUpWhenCtxEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Name: "pdf", Workers: 3, Queue: 2})
		ctx := cancellable(t)
		start := time.Now()
		polite := executor.Submit(ctx, p, untilEnd)
		stuck := executor.Submit(ctx, p, sleep(time.Hour), executor.Name("stuck"))
		inline := background(func() (time.Duration, error) {
			return executor.Do(context.Background(), p, sleep(time.Hour), executor.Name("inline"))
		})
		queued := executor.Submit(ctx, p, never)
		turn := background(func() (int, error) { return executor.Do(ctx, p, never, executor.Inline()) })

		drainCtx, cancel := context.WithTimeoutCause(ctx, time.Second, errCause)
		defer cancel()
		// The one with more patience shares the end of the other's.
		drains := []<-chan ending[any]{
			background(func() (any, error) { return nil, p.Drain(ctx) }),
			background(func() (any, error) { return nil, p.Drain(drainCtx) }),
		}

		_, err := polite.Await(ctx)
		require.Equal(t, executor.ErrDraining, err)
		require.NotErrorIs(t, err, executor.ErrNotStarted)
		_, err = queued.Await(ctx)
		require.Equal(t, executor.ErrClosed, err)
		require.Equal(t, ending[int]{0, executor.ErrClosed, time.Second}, <-turn)
		require.Equal(t, time.Second, time.Since(start))

		_, err = stuck.Await(ctx)
		require.Equal(t, &executor.AbandonedError{
			Pool: "pdf", Name: "stuck", Running: 1100 * time.Millisecond, Cause: executor.ErrDraining,
		}, err)
		require.Equal(t, 1100*time.Millisecond, time.Since(start))
		for _, drain := range drains {
			var left *executor.DrainError
			require.ErrorAs(t, (<-drain).err, &left)
			require.Equal(t, "pdf", left.Pool)
			require.Equal(t, errCause, left.Cause)
			require.ErrorIs(t, left, errCause)
			require.Len(t, left.Running, 2)
			for i, want := range []struct{ name, frame string }{{"stuck", "executor.(*worker)"}, {"inline", "executor.runInline"}} {
				require.Equal(t, want.name, left.Running[i].Name)
				require.Equal(t, 1100*time.Millisecond, left.Running[i].Age)
				require.Contains(t, string(left.Running[i].Stack), "time.Sleep(")
				require.Contains(t, string(left.Running[i].Stack), want.frame)
			}
			require.EqualError(t, left, `executor: pool "pdf" left 2 running: stuck (1.1s), inline (1.1s): the user has left`)
		}
		require.Equal(t, 1100*time.Millisecond, time.Since(start))
		require.Equal(t, 1, p.Stats().Abandoned)

		require.NoError(t, p.Drain(ctx)) // what was left behind
		require.Equal(t, time.Hour, time.Since(start))
		require.Equal(t, ending[time.Duration]{time.Hour, nil, time.Hour}, <-inline)
	})
}

func TestDrainErrorListsTheOldestFirstEachWithItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 2})
		release := make(chan struct{})
		outer := background(func() (int, error) {
			return executor.Do(context.Background(), p, func(ctx context.Context) (int, error) {
				time.Sleep(time.Second)
				return executor.Do(ctx, p, func(context.Context) (int, error) {
					return stuckForever(release)
				}, executor.Inline(), executor.Name("inner"))
			}, executor.Name("outer"))
		})
		time.Sleep(time.Minute)
		young := executor.Submit(t.Context(), p, sleep(time.Hour), executor.Name("young"))
		synctest.Wait()

		var left *executor.DrainError
		require.ErrorAs(t, p.Close(), &left)
		require.Len(t, left.Running, 3)
		for i, want := range []struct {
			name  string
			age   time.Duration
			frame string
		}{
			{"outer", time.Minute, "executor_test.stuckForever("},
			{"inner", time.Minute - time.Second, "executor_test.stuckForever("},
			{"young", 0, "time.Sleep("},
		} {
			require.Equal(t, want.name, left.Running[i].Name)
			require.Equal(t, want.age+100*time.Millisecond, left.Running[i].Age)
			require.Contains(t, string(left.Running[i].Stack), want.frame)
		}

		close(release)
		require.NoError(t, (<-outer).err)
		_, err := young.Await(t.Context())
		require.ErrorIs(t, err, executor.ErrDraining)
		require.NoError(t, p.Drain(t.Context()))
	})
}

func TestDrainReturnsAsSoonAsTheCancelledCallsHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		f := executor.Submit(t.Context(), p, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			time.Sleep(99 * time.Millisecond)
			return 7, nil
		})
		synctest.Wait()
		start := time.Now()
		require.NoError(t, p.Drain(ended()))
		require.Equal(t, 99*time.Millisecond, time.Since(start))
		got, err := f.Await(t.Context())
		require.NoError(t, err)
		require.Equal(t, 7, got)
	})
}

func TestDrainGivesUpOnNestedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		var running, waiting *executor.Future[time.Duration]
		parent := executor.Submit(t.Context(), p, func(ctx context.Context) (int, error) {
			ctx = context.WithoutCancel(ctx) // only Drain can end these
			running = executor.Submit(ctx, p, sleep(time.Minute))
			waiting = executor.Submit(ctx, p, sleep(time.Minute))
			_, err := waiting.Await(ctx)
			require.Equal(t, executor.ErrClosed, err)
			return executor.Do(ctx, p, never)
		})
		synctest.Wait()
		start := time.Now()
		var left *executor.DrainError
		require.ErrorAs(t, p.Drain(ended()), &left)
		require.Equal(t, 100*time.Millisecond, time.Since(start))
		require.Len(t, left.Running, 1)
		_, err := running.Await(t.Context())
		require.Equal(t, executor.ErrDraining, errors.Unwrap(err))
		_, err = parent.Await(t.Context())
		require.Equal(t, executor.ErrClosed, err)
		require.NoError(t, p.Drain(t.Context()))
		require.Equal(t, time.Minute, time.Since(start))
	})
}

func TestCloseHasNoPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		running := executor.Submit(t.Context(), p, untilEnd)
		queued := executor.Submit(t.Context(), p, never)
		synctest.Wait()
		start := time.Now()
		for range 2 {
			require.NoError(t, p.Close())
		}
		require.Zero(t, time.Since(start))
		_, err := running.Await(t.Context())
		require.Equal(t, executor.ErrDraining, err)
		_, err = queued.Await(t.Context())
		require.Equal(t, executor.ErrClosed, err)
		_, err = executor.Do(t.Context(), p, never)
		require.Equal(t, executor.ErrClosed, err)
	})
}

func TestDrainUnderLoadLosesNoCall(t *testing.T) {
	for range 20 {
		p, err := executor.New(executor.Config{Workers: 2, Queue: executor.Unbounded})
		require.NoError(t, err)
		var begun, ended atomic.Int64
		fn := func(context.Context) (int, error) {
			begun.Add(1)
			runtime.Gosched()
			ended.Add(1)
			return 1, nil
		}
		results := make(chan error)
		const callers, calls = 8, 50
		for i := range callers {
			go func() {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				for n := range calls {
					var err error
					switch (i + n) % 3 {
					case 0:
						_, err = executor.Do(ctx, p, fn)
					case 1:
						_, err = executor.Do(ctx, p, fn, executor.Inline())
					case 2:
						_, err = executor.Submit(ctx, p, fn).Await(ctx)
					}
					results <- err
				}
			}()
		}
		drained := make(chan error)
		ok := int64(0)
		for i := range callers * calls {
			if i == callers*calls/4 {
				go func() { drained <- p.Drain(context.Background()) }()
			}
			if err := <-results; err == nil {
				ok++
			} else {
				require.Equal(t, executor.ErrClosed, err)
			}
		}
		require.NoError(t, <-drained)
		require.Equal(t, ok, begun.Load())
		require.Equal(t, ok, ended.Load())
	}
}

func TestUnusedPoolCloses(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 1})
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
}

func TestPoolMadeOutsideTheBubbleBelongsToTheOneThatUsesIt(t *testing.T) {
	p, err := executor.New(executor.Config{Workers: 1})
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		_, err := executor.Do(t.Context(), p, sleep(time.Hour))
		require.NoError(t, err)
		require.NoError(t, p.Close())
	})
}

func stuckForever(release <-chan struct{}) (int, error) {
	<-release
	return 0, nil
}

// A call that never returns harms nobody but those who would use its slot, and they are told.
func TestCallThatNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Name: "legacy", Workers: 2, Queue: 1})
		release := make(chan struct{})
		start := time.Now()
		within := func(d time.Duration, fn func(context.Context) (int, error)) func() (int, error) {
			return func() (int, error) {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				return executor.Do(ctx, p, fn)
			}
		}
		stuck := func(context.Context) (int, error) { return stuckForever(release) }
		for _, call := range []<-chan ending[int]{background(within(time.Second, stuck)), background(within(time.Second, stuck))} {
			got := <-call
			require.Equal(t, time.Second, got.after)
			var abandoned *executor.AbandonedError
			require.ErrorAs(t, got.err, &abandoned)
		}
		time.Sleep(time.Minute - time.Second)
		require.Equal(t, executor.Stats{
			Workers: 2, Running: 2, Abandoned: 2, Oldest: time.Minute, OldestAbandoned: time.Minute,
		}, load(p))

		// One may wait, for as long as its ctx lets it; the next is refused at once.
		waiting := background(within(time.Second, never))
		_, err := executor.Do(t.Context(), p, never)
		require.Equal(t, executor.ErrQueueFull, err)
		require.Equal(t, time.Minute, time.Since(start))
		got := <-waiting
		require.Equal(t, time.Second, got.after)
		require.ErrorIs(t, got.err, executor.ErrNotStarted)
		require.ErrorIs(t, got.err, context.DeadlineExceeded)

		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err = p.Drain(ctx)
		require.Equal(t, time.Minute+6*time.Second+100*time.Millisecond, time.Since(start))
		var left *executor.DrainError
		require.ErrorAs(t, err, &left)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, left.Running, 2)
		for _, r := range left.Running {
			require.Contains(t, r.Name, "TestCallThatNeverReturns")
			require.Equal(t, time.Since(start), r.Age)
			require.Contains(t, string(r.Stack), "executor_test.stuckForever(")
		}

		close(release)
		require.NoError(t, p.Drain(t.Context()))
		require.Equal(t, executor.Stats{Workers: 2}, load(p))
	})
}

func TestDrainDoesNotWaitForeverForHooks(t *testing.T) {
	for name, cfg := range map[string]func(hang func()) executor.Config{
		"OnStuck": func(hang func()) executor.Config {
			return executor.Config{StuckAfter: time.Minute, OnStuck: func(executor.Running) { hang() }}
		},
		"CallEnded": func(hang func()) executor.Config {
			return executor.Config{Hooks: &executor.Hooks{CallEnded: func(context.Context, executor.CallInfo, error) { hang() }}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				cfg := cfg(func() { <-release })
				cfg.Name, cfg.Workers = "p", 1
				p := newPool(t, cfg)
				executor.Submit(t.Context(), p, sleep(2*time.Minute))
				time.Sleep(3 * time.Minute)
				start := time.Now()
				var left *executor.DrainError
				require.ErrorAs(t, p.Close(), &left)
				require.Empty(t, left.Running)
				require.EqualError(t, left, `executor: pool "p" left a hook running: context canceled`)
				require.Equal(t, 200*time.Millisecond, time.Since(start))
				close(release)
				require.NoError(t, p.Drain(t.Context()))
			})
		})
	}
}

func TestDrainWaitsForTheHooksOfFuturesHoweverTheyEnd(t *testing.T) {
	exits := func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }
	for name, submit := range map[string]func(t *testing.T, p *executor.Pool){
		"they return": func(t *testing.T, p *executor.Pool) { executor.Submit(t.Context(), p, noop) },
		"they exit":   func(t *testing.T, p *executor.Pool) { executor.Submit(t.Context(), p, exits) },
		"they are left": func(t *testing.T, p *executor.Pool) {
			ctx, cancel := context.WithCancel(t.Context())
			executor.Submit(ctx, p, sleep(time.Second))
			synctest.Wait()
			cancel()
		},
		"they are left while they wait": func(t *testing.T, p *executor.Pool) {
			ctx, cancel := context.WithCancel(t.Context())
			executor.Submit(t.Context(), p, sleep(0))
			executor.Submit(ctx, p, never)
			cancel()
		},
		"they are refused": func(t *testing.T, p *executor.Pool) {
			executor.Submit(t.Context(), p, sleep(0))
			executor.Submit(t.Context(), p, never, executor.NoWait())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var begun, returned atomic.Int32
				hook := func(context.Context, executor.CallInfo, error) {
					begun.Add(1)
					time.Sleep(time.Minute)
					returned.Add(1)
				}
				p := newPool(t, executor.Config{Workers: 1, Hooks: &executor.Hooks{CallEnded: hook, CallRefused: hook}})
				submit(t, p)
				require.NoError(t, p.Drain(t.Context()))
				require.NotZero(t, begun.Load())
				require.Equal(t, begun.Load(), returned.Load())
			})
		})
	}
}

func TestCallsThatDrainRefusesAreCounted(t *testing.T) {
	for name, submit := range map[string]func(t *testing.T, p *executor.Pool) *executor.Future[int]{
		"queued": func(t *testing.T, p *executor.Pool) *executor.Future[int] {
			executor.Submit(t.Context(), p, sleep(50*time.Millisecond))
			return executor.Submit(t.Context(), p, never)
		},
		"nested": func(t *testing.T, p *executor.Pool) *executor.Future[int] {
			nested := make(chan *executor.Future[int])
			executor.Submit(t.Context(), p, func(ctx context.Context) (int, error) {
				ctx = context.WithoutCancel(ctx)
				executor.Submit(ctx, p, sleep(50*time.Millisecond))
				nested <- executor.Submit(ctx, p, never)
				time.Sleep(50 * time.Millisecond)
				return 0, nil
			})
			return <-nested
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, executor.Config{Workers: 1})
				f := submit(t, p)
				synctest.Wait()
				require.NoError(t, p.Close())
				_, err := f.Await(t.Context())
				require.Equal(t, executor.ErrClosed, err)
				require.Equal(t, executor.Refusals{Closed: 1}, p.Stats().Refused)
			})
		})
	}
}
