package taskgroup_test

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// sleepsItself is an item's function that takes as many milliseconds as its item says.
func sleepsItself(_ context.Context, i int) (int, error) {
	time.Sleep(time.Duration(i) * ms)
	return i, nil
}

func TestStreamYieldsInTheOrderOfCompletion(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var got []int
		for i, err := range taskgroup.Stream(ctx, 4, slices.Values([]int{4, 2, 3, 1}), sleepsItself) {
			require.NoError(t, err)
			require.Equal(t, time.Duration(i)*ms, now(), "as soon as it is there")
			got = append(got, i)
		}
		require.Equal(t, []int{1, 2, 3, 4}, got)
	})
}

func TestOrderedYieldsInTheOrderOfTheItems(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		in := []int{4, 2, 3, 1, 9, 8, 1, 1, 7}
		var got []int
		for i, err := range taskgroup.Ordered(ctx, 3, slices.Values(in), sleepsItself) {
			require.NoError(t, err)
			got = append(got, i)
		}
		require.Equal(t, in, got)
	})
}

// Behind a slow first item in one loop, and a slow body in the other.
func TestResultsThatPileUpAreAllYielded(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		in := []int{100, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}
		for i, seq := range []iter.Seq2[int, error]{
			taskgroup.Ordered(ctx, len(in), slices.Values(in), sleepsItself),
			taskgroup.Stream(ctx, len(in), slices.Values(in), sleepsItself),
		} {
			var got []int
			for v, err := range seq {
				require.NoError(t, err)
				got = append(got, v)
				time.Sleep(time.Duration(i) * 200 * ms)
			}
			require.ElementsMatch(t, in, got)
		}
	})
}

func TestSlowLoopBodyHoldsBackTheSequence(t *testing.T) {
	for name, loop := range map[string]func(context.Context, *atomic.Int64) func(func(int, error) bool){
		"Stream": func(ctx context.Context, n *atomic.Int64) func(func(int, error) bool) {
			return taskgroup.Stream(ctx, 3, counting(100, n), func(_ context.Context, i int) (int, error) { return i, nil })
		},
		"Ordered": func(ctx context.Context, n *atomic.Int64) func(func(int, error) bool) {
			return taskgroup.Ordered(ctx, 3, counting(100, n), func(_ context.Context, i int) (int, error) { return i, nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				var yielded atomic.Int64
				seen := int64(0)
				for _, err := range loop(ctx, &yielded) {
					require.NoError(t, err)
					seen++
					synctest.Wait()
					require.LessOrEqual(t, yielded.Load(), seen+3)
				}
				require.EqualValues(t, 100, seen)
			})
		})
	}
}

func TestBreakStopsAndJoinsBeforeTheNextStatement(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var live, yielded atomic.Int64
		var cause atomic.Value
		for i, err := range taskgroup.Stream(ctx, 3, counting(-1, &yielded), func(ctx context.Context, i int) (int, error) {
			live.Add(1)
			defer live.Add(-1)
			if i == 0 {
				return 0, nil
			}
			<-ctx.Done()
			cause.Store(context.Cause(ctx))
			time.Sleep(5 * ms)
			return i, ctx.Err()
		}) {
			require.NoError(t, err)
			require.Zero(t, i)
			break
		}
		require.Zero(t, live.Load())
		require.Equal(t, 5*ms, now())
		require.ErrorIs(t, cause.Load().(error), taskgroup.ErrStopped)
		pulled := yielded.Load()
		require.LessOrEqual(t, pulled, int64(5), "the sequence stops within one item")
		synctest.Wait()
		require.Equal(t, pulled, yielded.Load())
	})
}

func TestReturnInTheLoopBodyJoins(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var live atomic.Int64
		func() {
			for _, err := range taskgroup.Ordered(ctx, 3, slices.Values([]int{1, 2, 3, 4}), func(_ context.Context, i int) (int, error) {
				live.Add(1)
				defer live.Add(-1)
				time.Sleep(time.Duration(i) * ms)
				return i, nil
			}) {
				require.NoError(t, err)
				return
			}
		}()
		require.Zero(t, live.Load())
	})
}

func TestPanicInTheLoopBodyGoesOnWhenAllHaveEnded(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		e := end(func() error {
			for _, err := range taskgroup.Stream(ctx, 2, slices.Values([]int{1, 9}), sleepsItself) {
				require.NoError(t, err)
				culprit("body")
			}
			return nil
		})
		require.Equal(t, "body", e.panicked)
		require.Equal(t, 9*ms, now())
	})
}

func TestPanicInTheLoopBodyIsNotHeldBackBySequencesThatBlock(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		left := make(chan time.Duration, 1)
		in := func(yield func(int) bool) {
			defer func() { left <- now() }()
			if yield(1) {
				time.Sleep(time.Hour)
				yield(2)
			}
		}
		e := end(func() error {
			for _, err := range taskgroup.Stream(ctx, 2, in, func(context.Context, int) (int, error) { return 0, nil }) {
				require.NoError(t, err)
				synctest.Wait()
				culprit("body")
			}
			return nil
		})
		require.Equal(t, "body", e.panicked)
		require.Equal(t, 30*time.Second, now())
		require.Equal(t, time.Hour, <-left, "it is ended when it comes back")
	})
}

func TestGoexitInTheLoopBodyJoins(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		e := end(func() error {
			for _, err := range taskgroup.Stream(ctx, 2, slices.Values([]int{1, 9}), sleepsItself) {
				require.NoError(t, err)
				goexit()
			}
			return nil
		})
		require.True(t, e.goexit)
		require.Equal(t, 9*ms, now())
	})
}

func TestFailureEndsTheSequenceWithOneError(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var values []int
		var errs []error
		for v, err := range taskgroup.Ordered(ctx, 1, slices.Values([]int{1, 2, 3, 4}), func(_ context.Context, i int) (int, error) {
			if i == 3 {
				return 99, errA
			}
			return i, nil
		}) {
			values = append(values, v)
			errs = append(errs, err)
		}
		require.Equal(t, []int{1, 2, 0}, values)
		require.Equal(t, []error{errA}, errorsOf(failed(t, errs[2])))
	})
}

func TestFailureIsYieldedWhereItStandsWhenTheSequenceKeepsGoing(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var got []any
		for v, err := range taskgroup.Ordered(ctx, 2, slices.Values([]int{1, 2, 3, 4}), func(_ context.Context, i int) (int, error) {
			time.Sleep(time.Duration(5-i) * ms)
			switch i {
			case 2:
				return 99, errA
			case 3:
				culprit("boom")
			}
			return i, nil
		}, taskgroup.KeepGoing(), taskgroup.OnPanic(taskgroup.AsError)) {
			if err == nil {
				got = append(got, v)
				continue
			}
			require.Zero(t, v)
			var task *taskgroup.TaskError
			require.ErrorAs(t, err, &task)
			got = append(got, task.Err)
		}
		require.Len(t, got, 4)
		require.Equal(t, []any{1, errA}, got[:2])
		require.Equal(t, "boom", got[2].(*taskgroup.PanicError).Value)
		require.Equal(t, 4, got[3])
	})
}

// The item that is missing stopped because the parent had ended, or failed; the one behind it took no notice.
func TestOrderedYieldsNothingBehindAnItemThatIsMissing(t *testing.T) {
	for name, opts := range map[string][]taskgroup.Option{"default": nil, "keep going": {taskgroup.KeepGoing()}} {
		for _, failure := range []error{nil, errA} {
			if failure != nil && opts != nil {
				continue // it is yielded where it stands
			}
			t.Run(fmt.Sprintf("%s/%v", name, failure), func(t *testing.T) {
				bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
					ctx, cancel := context.WithCancelCause(ctx)
					defer cancel(nil)
					var values, discarded []int
					var last error
					for v, err := range taskgroup.Ordered(ctx, 3, slices.Values([]int{1, 2, 3}), func(ctx context.Context, i int) (int, error) {
						if i == 2 {
							<-ctx.Done()
							return 0, cmp.Or(failure, ctx.Err())
						}
						time.Sleep(time.Duration(i) * ms)
						return i, nil
					}, append(opts, taskgroup.Discard(func(v int) { discarded = append(discarded, v) }))...) {
						if last = err; err == nil {
							values = append(values, v)
							cancel(errB)
						}
					}
					require.Equal(t, []int{1}, values)
					require.Equal(t, []int{3}, discarded)
					require.Equal(t, errB, failed(t, last).Cause)
				})
			})
		}
	}
}

func TestSequenceThatKeepsGoingEndsWithTheErrorOfTheParent(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithTimeoutCause(ctx, 3*ms, errB)
		defer cancel()
		var n atomic.Int64
		var last error
		for _, err := range taskgroup.Stream(ctx, 2, counting(-1, &n), func(ctx context.Context, i int) (int, error) {
			select {
			case <-time.After(2 * ms):
				return i, errA
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}, taskgroup.KeepGoing()) {
			last = err
		}
		e := failed(t, last)
		require.Equal(t, errB, e.Cause)
		require.Empty(t, e.Tasks, "they were yielded")
		require.Equal(t, 2, e.Canceled)
	})
}

func TestEndOfTheParentIsReportedThoughNoTaskWasThereToNotice(t *testing.T) {
	for _, name := range []string{"Stream", "Ordered"} {
		for _, limit := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%s/%d", name, limit), func(t *testing.T) {
				bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
					ctx, cancel := context.WithCancelCause(ctx)
					defer cancel(nil)
					seq := map[string]iter.Seq2[int, error]{
						"Stream":  taskgroup.Stream(ctx, limit, slices.Values(make([]int, 10)), sleepsItself),
						"Ordered": taskgroup.Ordered(ctx, limit, slices.Values(make([]int, 10)), sleepsItself),
					}[name]
					var errs []error
					for _, err := range seq {
						errs = append(errs, err)
						synctest.Wait() // as many results as the limit allows are there, and all tasks have ended
						cancel(errB)
					}
					require.Len(t, errs, 1+limit+1)
					e := failed(t, errs[len(errs)-1])
					require.Equal(t, errB, e.Cause)
					require.Equal(t, 1, e.Skipped)
				})
			})
		}
	}
}

func TestResultsThatWereNotYieldedAreDiscarded(t *testing.T) {
	for name, limit := range map[string]int{"some": 3, "unlimited": taskgroup.Unlimited} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				var discarded []int
				for i, err := range taskgroup.Ordered(ctx, limit, slices.Values([]int{1, 2, 3}), func(context.Context, int) (int, error) {
					return 7, nil
				}, taskgroup.Discard(func(v int) { discarded = append(discarded, v) })) {
					require.NoError(t, err)
					require.Equal(t, 7, i)
					synctest.Wait()
					break
				}
				require.Equal(t, []int{7, 7}, discarded)
			})
		})
	}
}

func TestResultOfATaskThatWasGivenUpIsDiscarded(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		discarded := make(chan int, 1)
		e := end(func() error {
			for _, err := range taskgroup.Stream(ctx, 2, slices.Values([]int{0, 1}), func(_ context.Context, i int) (int, error) {
				time.Sleep(time.Duration(i) * time.Hour)
				return i, nil
			}, taskgroup.Discard(func(i int) { discarded <- i })) {
				require.NoError(t, err)
				synctest.Wait()
				culprit("body")
			}
			return nil
		})
		require.Equal(t, "body", e.panicked)
		require.Equal(t, 30*time.Second, now())
		require.Equal(t, 1, <-discarded)
		require.Equal(t, time.Hour, now())
	})
}

// With a Limiter or hooks each item has a task of its own: the sequence must not end between two of them.
func TestSequenceIsCompleteThoughEachItemHasATaskOfItsOwn(t *testing.T) {
	hooked := taskgroup.WithHooks(t.Context(), new(taskgroup.Hooks))
	for range 100 {
		for _, seq := range []iter.Seq2[int, error]{
			taskgroup.Stream(t.Context(), 1, slices.Values(make([]int, 20)), sleepsItself, taskgroup.Use(taskgroup.NewLimiter(1))),
			taskgroup.Ordered(hooked, 1, slices.Values(make([]int, 20)), sleepsItself),
		} {
			n := 0
			for _, err := range seq {
				require.NoError(t, err)
				n++
			}
			require.Equal(t, 20, n)
		}
	}
}

func TestSequenceThatCannotBeginLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T, _ context.Context, _ func() time.Duration) {
		require.PanicsWithValue(t, "taskgroup: the context is nil", func() {
			_ = drained(taskgroup.Stream(nil, 1, slices.Values([]int{1}), sleepsItself)) //nolint:staticcheck // the nil is what is tested
		})
	})
}

func TestSequenceCanBeRangedOverAgain(t *testing.T) {
	seq := taskgroup.Ordered(t.Context(), 2, slices.Values([]int{1, 2}), func(_ context.Context, i int) (int, error) { return i, nil })
	for range 2 {
		var got []int
		for i, err := range seq {
			require.NoError(t, err)
			got = append(got, i)
		}
		require.Equal(t, []int{1, 2}, got)
	}
}
