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

// atOnce makes n inline calls of fn at the same time, in a bubble, and returns how long it took until all had ended.
func atOnce(t *testing.T, p *executor.Pool, n int, fn func(context.Context) (time.Duration, error)) time.Duration {
	start := time.Now()
	var calls []<-chan ending[time.Duration]
	for range n {
		calls = append(calls, background(func() (time.Duration, error) {
			return executor.Do(t.Context(), p, fn, executor.Inline())
		}))
	}
	for _, call := range calls {
		require.NoError(t, (<-call).err)
	}
	return time.Since(start)
}

func TestSlotsOfInlineCallsThatHaveEndedAreFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 10 // more than are kept warm
		p := newPool(t, executor.Config{Workers: workers, Queue: executor.NoQueue})
		for range 3 {
			require.Equal(t, time.Second, atOnce(t, p, workers, sleep(time.Second)))
			require.Equal(t, executor.Stats{Workers: workers}, load(p))
		}
		for range 2 {
			var calls []*executor.Future[time.Duration]
			for range workers {
				calls = append(calls, executor.Submit(t.Context(), p, sleep(time.Second), executor.NoWait()))
			}
			_, err := executor.Do(t.Context(), p, never, executor.Inline())
			require.Equal(t, executor.ErrQueueFull, err)
			for _, call := range calls {
				_, err := call.Await(t.Context())
				require.NoError(t, err)
			}
		}
		require.Equal(t, time.Second, atOnce(t, p, workers, sleep(time.Second)))
	})
}

func TestCallsThatWaitGetTheSlotsOfInlineCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 2})
		ctx := cancellable(t)
		for range 3 {
			require.Equal(t, time.Second, atOnce(t, p, 2, sleep(time.Second)))
			inline := background(func() (time.Duration, error) {
				return executor.Do(ctx, p, sleep(time.Second), executor.Inline())
			})
			worker := background(func() (time.Duration, error) { return executor.Do(ctx, p, sleep(3*time.Second)) })
			first := background(func() (time.Duration, error) { return executor.Do(ctx, p, sleep(time.Second)) })
			second := background(func() (time.Duration, error) {
				return executor.Do(ctx, p, sleep(time.Second), executor.Inline())
			})
			require.Equal(t, executor.Stats{Workers: 2, Running: 2, Queued: 2}, load(p))
			require.Equal(t, time.Second, (<-inline).after)
			require.Equal(t, 2*time.Second, (<-first).after)
			require.Equal(t, 3*time.Second, (<-second).after)
			require.Equal(t, 3*time.Second, (<-worker).after)
		}
	})
}

func TestResizeTakesBackTheSlotsOfInlineCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 4, Queue: 10})
		require.Equal(t, time.Second, atOnce(t, p, 4, sleep(time.Second)))
		p.Resize(2) // while they are free
		require.Equal(t, 2*time.Second, atOnce(t, p, 4, sleep(time.Second)))
		p.Resize(4)
		require.Equal(t, time.Second, atOnce(t, p, 4, sleep(time.Second)))
		time.AfterFunc(time.Second/2, func() { p.Resize(1) }) // while they are taken
		require.Equal(t, time.Second, atOnce(t, p, 4, sleep(time.Second)))
		require.Equal(t, 4*time.Second, atOnce(t, p, 4, sleep(time.Second)))
		require.Equal(t, executor.Stats{Workers: 1}, load(p))
	})
}

func TestDrainFindsInlineCallsWhoseSlotsWereFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Name: "p", Workers: 3})
		require.Equal(t, time.Second, atOnce(t, p, 3, sleep(time.Second))) // the third will be free
		release := make(chan struct{})
		stuck := background(func() (int, error) {
			return executor.Do(t.Context(), p, func(context.Context) (int, error) { return stuckForever(release) },
				executor.Inline(), executor.Name("stuck"))
		})
		polite := background(func() (int, error) { return executor.Do(t.Context(), p, untilEnd, executor.Inline()) })
		time.Sleep(time.Second)
		require.Equal(t, executor.Stats{Workers: 3, Running: 2, Oldest: time.Second}, load(p))

		var left *executor.DrainError
		require.ErrorAs(t, p.Close(), &left)
		require.Equal(t, ending[int]{0, executor.ErrDraining, time.Second}, <-polite)
		require.Len(t, left.Running, 1)
		require.Contains(t, string(left.Running[0].Stack), "executor_test.stuckForever(")
		left.Running[0].Stack = nil
		require.Equal(t, executor.Running{Name: "stuck", Age: 1100 * time.Millisecond}, left.Running[0])
		close(release)
		require.NoError(t, (<-stuck).err)
		require.NoError(t, p.Close())
	})
}

func TestCloseEndsInlineCallsThatBeginMeanwhile(t *testing.T) {
	for range 1000 {
		p, err := executor.New(executor.Config{Workers: 2})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		_, err = executor.Do(ctx, p, noop, executor.Inline())
		require.NoError(t, err)
		var ended error
		var group sync.WaitGroup
		group.Go(func() {
			for ended == nil {
				_, ended = executor.Do(ctx, p, func(ctx context.Context) (int, error) {
					for ctx.Err() == nil {
						runtime.Gosched()
					}
					return 0, context.Cause(ctx)
				}, executor.Inline())
			}
		})
		require.NoError(t, p.Close())
		group.Wait()
		if ended != executor.ErrClosed { //nolint:errorlint // as it is
			require.Equal(t, executor.ErrDraining, ended)
		}
		cancel()
	}
}

// warmPool is a pool with one slot, which an inline call has left.
func warmPool(t *testing.T) *executor.Pool {
	p := newPool(t, executor.Config{Workers: 1})
	_, err := executor.Do(t.Context(), p, noop, executor.Inline())
	require.NoError(t, err)
	return p
}

func TestInlineCallsDoNotBeginOnceThePoolDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := warmPool(t)
		ended := 0
		p.Observe(&executor.Hooks{CallEnded: func(context.Context, executor.CallInfo, error) { ended++ }})
		var drained, queued <-chan ending[int]
		require.False(t, executor.BeginWarm(t.Context(), p, func() {
			queued = background(func() (int, error) { return executor.Do(t.Context(), p, noop, executor.Inline()) })
			drained = background(func() (int, error) { return 0, p.Drain(t.Context()) })
		}))
		require.NoError(t, (<-queued).err, "the slot is passed on")
		require.Equal(t, ending[int]{}, <-drained)
		require.Equal(t, 1, ended, "the one that was queued")
	})
}

func TestInlineCallsThatEndPassTheirSlotsToWhoCameMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := warmPool(t)
		ctx := cancellable(t)
		var worker, inline, closed <-chan ending[int]
		executor.EndWarm(ctx, p, func() {
			worker = background(func() (int, error) { return executor.Do(ctx, p, noop) })
			require.Equal(t, executor.Stats{Workers: 1, Running: 1, Queued: 1}, load(p))
		})
		require.Equal(t, ending[int]{1, nil, 0}, <-worker)

		_, err := executor.Do(ctx, p, noop, executor.Inline())
		require.NoError(t, err)
		executor.EndWarm(ctx, p, func() {
			inline = background(func() (int, error) { return executor.Do(ctx, p, noop, executor.Inline()) })
		})
		require.Equal(t, ending[int]{1, nil, 0}, <-inline)
		executor.EndWarm(ctx, p, func() {
			closed = background(func() (int, error) { return 0, p.Drain(t.Context()) })
		})
		require.Equal(t, ending[int]{}, <-closed)
	})
}

func TestNestedCallsKeepTheSlotsOfInlineCallsThatHaveReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1})
		for range 3 {
			var nested <-chan ending[time.Duration]
			_, err := executor.Do(t.Context(), p, func(ctx context.Context) (int, error) {
				nested = background(func() (time.Duration, error) { return executor.Do(ctx, p, sleep(time.Second)) })
				return 1, nil
			}, executor.Inline())
			require.NoError(t, err)
			require.ErrorIs(t, (<-nested).err, context.Canceled) // its caller has left
			require.Equal(t, executor.Stats{Workers: 1, Running: 1, Abandoned: 1}, load(p))
			_, err = executor.Do(t.Context(), p, never, executor.Inline(), executor.NoWait())
			require.Equal(t, executor.ErrQueueFull, err)
			require.Equal(t, 2*time.Second, atOnce(t, p, 1, sleep(time.Second))) // waits for it
		}
	})
}

// stepLimiter allows first calls until it has seen so many, and then one.
type stepLimiter struct{ first, samples float64 }

func (l *stepLimiter) Next(executor.Sample) float64 {
	if l.samples--; l.samples < 0 {
		return 1
	}
	return l.first
}

func TestLaterInlineCallsAreCountedAndWatchedLikeTheFirst(t *testing.T) {
	inline := executor.Inline()
	for name, test := range map[string]func(t *testing.T){
		"PerKey": func(t *testing.T) {
			p := newPool(t, executor.Config{Workers: 2, PerKey: 1})
			require.Zero(t, atOnce(t, p, 1, sleep(0)))
			_, err := executor.Do(t.Context(), p, func(context.Context) (int, error) {
				return executor.Do(t.Context(), p, never, inline, executor.Key("a"), executor.NoWait())
			}, inline, executor.Key("a"))
			require.Equal(t, executor.ErrQueueFull, err)
		},
		"StuckAfter": func(t *testing.T) {
			reports := 0
			p := newPool(t, executor.Config{
				Workers: 1, StuckAfter: time.Minute, OnStuck: func(executor.Running) { reports++ },
			})
			for _, d := range []time.Duration{time.Second, time.Hour, time.Hour} {
				require.Equal(t, d, atOnce(t, p, 1, sleep(d)))
			}
			require.Equal(t, 2, reports)
		},
		"Limiter": func(t *testing.T) {
			p := newPool(t, executor.Config{Workers: 4, Limiter: &stepLimiter{first: 4, samples: 4}})
			require.Equal(t, time.Second, atOnce(t, p, 4, sleep(time.Second)))
			require.Equal(t, time.Second, atOnce(t, p, 4, sleep(time.Second)))
			require.Equal(t, 4*time.Second, atOnce(t, p, 4, sleep(time.Second)))
		},
		"CoDel": func(t *testing.T) {
			p := newPool(t, executor.Config{Workers: 1, Overload: &executor.CoDel{}})
			for range 2 { // the second burst comes long after the first
				require.Equal(t, 100*time.Millisecond, atOnce(t, p, 2, sleep(50*time.Millisecond)))
				time.Sleep(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}
