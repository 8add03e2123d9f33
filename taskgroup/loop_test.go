package taskgroup_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// counting yields 0, 1, … and notes how many it has yielded. It ends after n, or never if n is negative.
func counting(n int, yielded *atomic.Int64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i != n; i++ {
			yielded.Add(1)
			if !yield(i) {
				return
			}
		}
	}
}

// loops are the loop functions as ForEach: they call f for each item of in and end as it would.
var loops = map[string]loopFunc{
	"ForEach": taskgroup.ForEach[int],
	"Map": func(ctx context.Context, limit int, in iter.Seq[int], f func(context.Context, int) error, opts ...taskgroup.Option) error {
		_, err := taskgroup.Map(ctx, limit, slices.Collect(in), func(ctx context.Context, i int) (int, error) { return i, f(ctx, i) }, opts...)
		return err
	},
	"Stream": func(ctx context.Context, limit int, in iter.Seq[int], f func(context.Context, int) error, opts ...taskgroup.Option) error {
		return drained(taskgroup.Stream(ctx, limit, in, func(ctx context.Context, i int) (int, error) { return i, f(ctx, i) }, opts...))
	},
	"Ordered": func(ctx context.Context, limit int, in iter.Seq[int], f func(context.Context, int) error, opts ...taskgroup.Option) error {
		return drained(taskgroup.Ordered(ctx, limit, in, func(ctx context.Context, i int) (int, error) { return i, f(ctx, i) }, opts...))
	},
}

// drained ranges over all of seq and returns its last error.
func drained(seq iter.Seq2[int, error]) (last error) {
	for _, err := range seq {
		last = err
	}
	return last
}

type loopFunc = func(context.Context, int, iter.Seq[int], func(context.Context, int) error, ...taskgroup.Option) error

func eachLoop(t *testing.T, f func(t *testing.T, ctx context.Context, now func() time.Duration, loop loopFunc)) {
	for name, loop := range loops {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) { f(t, ctx, now, loop) })
		})
	}
}

func TestLoopCallsTheFunctionOnceForEachItem(t *testing.T) {
	for _, limit := range []int{1, 2, 7, taskgroup.Unlimited} {
		eachLoop(t, func(t *testing.T, ctx context.Context, _ func() time.Duration, loop loopFunc) {
			var mu sync.Mutex
			var got []int
			var n atomic.Int64
			require.NoError(t, loop(ctx, limit, counting(100, &n), func(_ context.Context, i int) error {
				time.Sleep(time.Duration(i%3) * ms)
				mu.Lock()
				defer mu.Unlock()
				got = append(got, i)
				return nil
			}))
			slices.Sort(got)
			require.Equal(t, slices.Collect(counting(100, &n)), got)
		})
	}
}

func TestLoopUsesItsLimitAndNoMore(t *testing.T) {
	eachLoop(t, func(t *testing.T, ctx context.Context, now func() time.Duration, loop loopFunc) {
		var g gauge
		var n atomic.Int64
		require.NoError(t, loop(ctx, 4, counting(20, &n), func(context.Context, int) error {
			g.enter()
			defer g.leave()
			time.Sleep(ms)
			return nil
		}))
		require.EqualValues(t, 4, g.most.Load())
		require.Equal(t, 5*ms, now())
	})
}

func TestUnlimitedLoopRunsAllAtOnce(t *testing.T) {
	eachLoop(t, func(t *testing.T, ctx context.Context, now func() time.Duration, loop loopFunc) {
		var n atomic.Int64
		require.NoError(t, loop(ctx, taskgroup.Unlimited, counting(500, &n), after2(ms)))
		require.Equal(t, ms, now())
	})
}

// after2 is after for functions of a loop.
func after2(d time.Duration) func(context.Context, int) error {
	return func(context.Context, int) error {
		time.Sleep(d)
		return nil
	}
}

func TestEmptyLoopEndsAtOnce(t *testing.T) {
	eachLoop(t, func(t *testing.T, ctx context.Context, now func() time.Duration, loop loopFunc) {
		var n atomic.Int64
		require.NoError(t, loop(ctx, 3, counting(0, &n), func(context.Context, int) error { return errA }))
		require.Zero(t, now())
	})
}

func TestItemIsPulledOnlyWhenASlotIsFree(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var yielded atomic.Int64
		err := taskgroup.ForEach(ctx, 3, counting(10, &yielded), func(context.Context, int) error {
			time.Sleep(ms)
			require.LessOrEqual(t, yielded.Load(), int64(3), "one for each slot")
			return errA
		})
		require.ErrorIs(t, err, errA)
		require.EqualValues(t, 3, yielded.Load())
	})
}

func TestSequenceIsRunByOneGoroutineAtATime(t *testing.T) {
	eachLoop(t, func(t *testing.T, ctx context.Context, _ func() time.Duration, loop loopFunc) {
		var inside gauge
		in := func(yield func(int) bool) {
			for i := range 30 {
				inside.enter()
				time.Sleep(time.Duration(i%3) * ms) // a source that is slow at times
				inside.leave()
				if !yield(i) {
					return
				}
			}
		}
		require.NoError(t, loop(ctx, 5, in, after2(2*ms)))
		require.EqualValues(t, 1, inside.most.Load())
	})
}

func TestSlowSequenceKeepsNoItemBack(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		in := func(yield func(int) bool) {
			for i := range 10 {
				time.Sleep(10 * ms)
				if !yield(i) {
					return
				}
			}
		}
		var last time.Duration
		for i, err := range taskgroup.Stream(ctx, 2, in, func(_ context.Context, i int) (int, error) { return i, nil }) {
			require.NoError(t, err)
			last = now()
			require.Equal(t, time.Duration(i+1)*10*ms, last)
		}
		require.Equal(t, 100*ms, last)
	})
}

func TestFirstFailureStopsTheLoop(t *testing.T) {
	eachLoop(t, func(t *testing.T, ctx context.Context, now func() time.Duration, loop loopFunc) {
		var n, calls atomic.Int64
		err := loop(ctx, 2, counting(100, &n), func(ctx context.Context, i int) error {
			calls.Add(1)
			if i == 3 {
				return errA
			}
			select {
			case <-time.After(ms):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		e := failed(t, err)
		require.Equal(t, errA, e.Cause)
		require.Equal(t, []error{errA}, errorsOf(e))
		require.Equal(t, 1, e.Skipped, "the rest counts as one")
		require.LessOrEqual(t, calls.Load(), int64(5))
		require.Equal(t, ms, now())
	})
}

func TestFailureOfALoopIsAttributedToItsFunction(t *testing.T) {
	err := taskgroup.ForEach(t.Context(), 1, slices.Values([]int{1}), failingItem)
	require.Contains(t, failed(t, err).Tasks[0].Func, "taskgroup_test.failingItem")
	_, err = taskgroup.Map(t.Context(), 1, []int{1}, func(context.Context, int) (int, error) { return 0, errA })
	require.Contains(t, failed(t, err).Tasks[0].Func, "TestFailureOfALoopIsAttributedToItsFunction")
}

func failingItem(context.Context, int) error { return errA }

func TestLoopThatKeepsGoingReportsAllFailures(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var n, calls atomic.Int64
		err := taskgroup.ForEach(ctx, 2, counting(40, &n), func(_ context.Context, i int) error {
			calls.Add(1)
			if i%2 == 0 {
				return errA
			}
			return nil
		}, taskgroup.KeepGoing())
		e := failed(t, err)
		require.EqualValues(t, 40, calls.Load())
		require.Len(t, e.Tasks, 16)
		require.Equal(t, 4, e.Dropped)
		require.Zero(t, e.Skipped)
	})
}

func TestEndOfTheParentStopsTheLoop(t *testing.T) {
	eachLoop(t, func(t *testing.T, ctx context.Context, now func() time.Duration, loop loopFunc) {
		ctx, cancel := context.WithTimeoutCause(ctx, 5*ms, errB)
		defer cancel()
		var n atomic.Int64
		err := loop(ctx, 1, counting(100, &n), after2(2*ms))
		e := failed(t, err)
		require.Equal(t, errB, e.Cause)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, e.Skipped)
		require.Equal(t, 6*ms, now())
	})
}

func TestEndOfTheParentAfterTheLastItemIsNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, ms)
		defer cancel()
		got, err := taskgroup.Map(ctx, 2, []int{1, 2}, func(context.Context, int) (int, error) {
			time.Sleep(2 * ms)
			return 7, nil
		})
		require.NoError(t, err)
		require.Equal(t, []int{7, 7}, got)
	})
}

func TestPanicOfTheFunctionOfALoopReachesTheCaller(t *testing.T) {
	eachLoop(t, func(t *testing.T, ctx context.Context, _ func() time.Duration, loop loopFunc) {
		var n atomic.Int64
		p := panicOf(t, func() error {
			return loop(ctx, 3, counting(10, &n), func(_ context.Context, i int) error {
				if i == 4 {
					culprit("boom")
				}
				return nil
			})
		})
		require.Equal(t, "boom", p.Value)
		requireCulprit(t, p)
	})
}

func TestPanicOfTheSequenceReachesTheCallerWithItsStack(t *testing.T) {
	for name, loop := range loops {
		if name == "Map" {
			continue // has a slice
		}
		t.Run(name, func(t *testing.T) {
			p := panicOf(t, func() error {
				return loop(t.Context(), 3, func(yield func(int) bool) {
					if yield(1) {
						culprit("boom")
					}
				}, after2(0))
			})
			requireCulprit(t, p)
		})
	}
}

func TestPanicThatIsAnErrorDoesNotEndALoopThatKeepsGoing(t *testing.T) {
	eachLoop(t, func(t *testing.T, ctx context.Context, _ func() time.Duration, loop loopFunc) {
		var n, calls atomic.Int64
		err := loop(ctx, 2, counting(10, &n), func(_ context.Context, i int) error {
			calls.Add(1)
			if i == 4 {
				culprit("boom")
			}
			return nil
		}, taskgroup.KeepGoing(), taskgroup.OnPanic(taskgroup.AsError))
		require.EqualValues(t, 10, calls.Load())
		// Stream and Ordered have yielded it, last or in between.
		if p, ok := errors.AsType[*taskgroup.PanicError](err); ok {
			require.Equal(t, "boom", p.Value)
		}
	})
}

func TestGoexitInALoopEndsTheCaller(t *testing.T) {
	eachLoop(t, func(t *testing.T, ctx context.Context, _ func() time.Duration, loop loopFunc) {
		var n atomic.Int64
		e := end(func() error {
			return loop(ctx, 2, counting(10, &n), func(_ context.Context, i int) error {
				if i == 4 {
					goexit()
				}
				return nil
			})
		})
		require.True(t, e.goexit)
	})
}

func TestMapReturnsResultsInTheOrderOfTheItems(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		got, err := taskgroup.Map(ctx, 3, []int{5, 1, 4, 2}, func(_ context.Context, i int) (int, error) {
			time.Sleep(time.Duration(i) * ms)
			return i * i, nil
		})
		require.NoError(t, err)
		require.Equal(t, []int{25, 1, 16, 4}, got)
	})
}

func TestMapThatFailsReturnsNoResultsAndDiscardsThem(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var discarded []int
		got, err := taskgroup.Map(ctx, 1, []int{1, 2, 3, 4}, func(_ context.Context, i int) (int, error) {
			if i == 3 {
				return 0, errA
			}
			return 10 * i, nil
		}, taskgroup.Discard(func(v int) { discarded = append(discarded, v) }))
		require.ErrorIs(t, err, errA)
		require.Nil(t, got)
		require.Equal(t, []int{10, 20}, discarded)
	})
}

func TestMapDiscardsItsResultsWhenACallPanics(t *testing.T) {
	for name, interrupt := range map[string]func(){"panic": func() { culprit("boom") }, "Goexit": goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				var discarded []int
				e := end(func() error {
					_, err := taskgroup.Map(ctx, 1, []int{1, 2, 3}, func(_ context.Context, i int) (int, error) {
						if i == 3 {
							interrupt()
						}
						return 10 * i, nil
					}, taskgroup.KeepGoing(), taskgroup.Discard(func(v int) { discarded = append(discarded, v) }))
					return err
				})
				require.NotEqual(t, e.goexit, e.panicked != nil)
				require.Equal(t, []int{10, 20}, discarded)
			})
		})
	}
}

func TestMapThatKeepsGoingReturnsWhatSucceeded(t *testing.T) {
	got, err := taskgroup.Map(t.Context(), 2, []int{1, 2, 3}, func(_ context.Context, i int) (int, error) {
		if i == 2 {
			return 9, errA
		}
		return i, nil
	}, taskgroup.KeepGoing())
	require.ErrorIs(t, err, errA)
	require.Equal(t, []int{1, 0, 3}, got)
}

func TestLoopRefusesWhatMakesNoSense(t *testing.T) {
	f := func(context.Context, int) (int, error) { return 0, nil }
	require.PanicsWithValue(t, "taskgroup: Map called with limit 0: it is 1 or more, or Unlimited",
		func() { _, _ = taskgroup.Map(t.Context(), 0, []int{1}, f) })
	for name, loop := range map[string]func(){
		"ForEach": func() { _ = taskgroup.ForEach(t.Context(), 1, slices.Values([]int{1}), nil) },
		"Map":     func() { _, _ = taskgroup.Map[int, int](t.Context(), 1, []int{1}, nil) },
		"Stream":  func() { taskgroup.Stream[int, int](t.Context(), 1, slices.Values([]int{1}), nil) },
		"Ordered": func() { taskgroup.Ordered[int, int](t.Context(), 1, slices.Values([]int{1}), nil) },
	} {
		require.PanicsWithValue(t, "taskgroup: "+name+" called with a nil function", loop)
	}
	for name, loop := range map[string]func(){
		"ForEach": func() {
			_ = taskgroup.ForEach(t.Context(), 1, nil, func(context.Context, int) error { return nil })
		},
		"Stream":  func() { taskgroup.Stream(t.Context(), 1, nil, f) },
		"Ordered": func() { taskgroup.Ordered(t.Context(), 1, nil, f) },
	} {
		require.PanicsWithValue(t, "taskgroup: "+name+" called with a nil sequence", loop)
	}
	require.PanicsWithValue(t, "taskgroup: Stream has its limit as a parameter, not as an option",
		func() { taskgroup.Stream(t.Context(), 1, slices.Values([]int{1}), f, taskgroup.Limit(2)) })
	require.PanicsWithValue(t, "taskgroup: Discard is a func(string), but the results need a func(int)",
		func() {
			taskgroup.Ordered(t.Context(), 1, slices.Values([]int{1}), f, taskgroup.Discard(func(string) {}))
		})
}
