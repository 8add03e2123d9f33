package taskgroup_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

func TestLimiterBoundsItsGroupsTogether(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		l := taskgroup.NewLimiter(3)
		var load gauge
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
					for range 6 {
						g.Go(func(context.Context) error {
							load.enter()
							defer load.leave()
							time.Sleep(ms)
							return nil
						})
					}
					return nil
				}, taskgroup.Use(l))
				require.NoError(t, err)
			})
		}
		wg.Wait()
		require.EqualValues(t, 3, load.most.Load())
		require.Equal(t, 8*ms, now())
	})
}

func TestWeightTakesThatManyUnitsInTheOrderOfStarting(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Use(taskgroup.NewLimiter(3)))
		var mu sync.Mutex
		began := make(map[string]time.Duration)
		start := func(name string, weight int64) {
			g.Start(taskgroup.Task{Name: name, Weight: weight, Func: func(context.Context) error {
				mu.Lock()
				began[name] = now()
				mu.Unlock()
				time.Sleep(10 * ms)
				return nil
			}})
		}
		start("two", 2)
		start("three", 3)
		start("one", 1) // one unit is free, but it is not its turn
		start("another", 1)
		require.NoError(t, g.Wait())
		require.Equal(t, map[string]time.Duration{"two": 0, "three": 10 * ms, "one": 20 * ms, "another": 20 * ms}, began)
	})
}

func TestTaskLendsItsUnitsToAGroupInsideIt(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		l := taskgroup.NewLimiter(1)
		var nest func(ctx context.Context, depth int) error
		nest = func(ctx context.Context, depth int) error {
			return taskgroup.Run(ctx, func(ctx context.Context, g *taskgroup.Group) error {
				for range 2 {
					g.Go(func(ctx context.Context) error {
						if depth == 0 {
							time.Sleep(ms)
							return nil
						}
						return nest(ctx, depth-1)
					})
				}
				return nil
			}, taskgroup.Use(l))
		}
		require.NoError(t, nest(ctx, 4))
		require.Equal(t, 32*ms, now(), "one at a time")
	})
}

func TestTaskLendsItsUnitsWhileItWaitsForAResultOfAStream(t *testing.T) {
	for name, ordered := range map[string]bool{"Stream": false, "Ordered": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				l := taskgroup.NewLimiter(1)
				var load gauge
				busy := func(_ context.Context, i int) (int, error) {
					load.enter()
					defer load.leave()
					time.Sleep(ms)
					return i, nil
				}
				err := taskgroup.ForEach(ctx, 3, slices.Values([]int{1, 2, 3}), func(ctx context.Context, _ int) error {
					seq := taskgroup.Stream(ctx, 2, slices.Values([]int{1, 2, 3}), busy, taskgroup.Use(l))
					if ordered {
						seq = taskgroup.Ordered(ctx, 2, slices.Values([]int{1, 2, 3}), busy, taskgroup.Use(l))
					}
					for i, err := range seq {
						if err != nil {
							return err
						}
						_, _ = busy(ctx, i) // the unit is the task's own again
					}
					return nil
				}, taskgroup.Use(l))
				require.NoError(t, err)
				require.EqualValues(t, 1, load.most.Load())
			})
		})
	}
}

func TestAwaitInTheBodyOfANestedGroupLendsUnits(t *testing.T) {
	bubble(t, func(t *testing.T, outside context.Context, _ func() time.Duration) {
		l := taskgroup.NewLimiter(1)
		err := taskgroup.Run(outside, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(func(ctx context.Context) error {
				return taskgroup.Run(ctx, func(ctx context.Context, g *taskgroup.Group) error {
					for _, ctx := range []context.Context{ctx, outside} {
						if _, err := taskgroup.Async(g, one).Await(ctx); err != nil {
							return err
						}
					}
					return nil
				}, taskgroup.Use(l))
			})
			return nil
		}, taskgroup.Use(l))
		require.NoError(t, err)
	})
}

// The one that is awaited runs, and needs more units than are free, for a group inside it.
func TestTaskLendsItsUnitsWhileItAwaitsATaskThatRuns(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		l := taskgroup.NewLimiter(2)
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			all := taskgroup.Async(g, func(ctx context.Context) (int, error) {
				time.Sleep(2 * ms) // until the other awaits this
				return 1, taskgroup.Run(ctx, func(_ context.Context, inner *taskgroup.Group) error {
					inner.Start(taskgroup.Task{Weight: 2, Func: after(0, nil)})
					return nil
				}, taskgroup.Use(l))
			})
			g.Go(func(ctx context.Context) error {
				time.Sleep(ms)
				_, err := all.Await(ctx)
				return err
			})
			return nil
		}, taskgroup.Use(l))
		require.NoError(t, err)
	})
}

func TestTaskLendsItsUnitsWhileItAwaitsATaskOfAnotherGroup(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		use := taskgroup.Use(taskgroup.NewLimiter(1))
		a, b := taskgroup.New(ctx, use), taskgroup.New(ctx, use)
		a.Go(func(ctx context.Context) error {
			_, err := taskgroup.Async(b, one).Await(ctx)
			return err
		})
		require.NoError(t, a.Wait())
		require.NoError(t, b.Wait())
	})
}

// The units that a task needs which an Await runs are those of the task that awaits it.
func TestTaskThatAwaitRunsLendsTheUnitsItRunsWith(t *testing.T) {
	for name, inside := range map[string]func(ctx context.Context, l taskgroup.Option) error{
		"to a group inside it": func(ctx context.Context, l taskgroup.Option) error {
			return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Go(after(0, nil))
				return nil
			}, l)
		},
		"to a task of another group that it awaits": func(ctx context.Context, l taskgroup.Option) error {
			g := taskgroup.New(context.WithoutCancel(ctx), l)
			_, err := taskgroup.Async(g, one).Await(ctx)
			return errors.Join(err, g.Wait())
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				ctx, cancel := context.WithTimeout(ctx, time.Hour)
				defer cancel()
				use := taskgroup.Use(taskgroup.NewLimiter(1))
				g := taskgroup.New(ctx, use)
				g.Go(func(ctx context.Context) error {
					f := taskgroup.Async(g, func(ctx context.Context) (int, error) { return 1, inside(ctx, use) })
					_, err := f.Await(ctx)
					return err
				})
				require.NoError(t, g.Wait())
			})
		})
	}
}

func TestUnitsThatWereLentAreTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		l := taskgroup.NewLimiter(1)
		var load gauge
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			for range 5 {
				g.Go(func(ctx context.Context) error {
					if err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
						g.Go(after(ms, nil))
						return nil
					}, taskgroup.Use(l)); err != nil {
						return err
					}
					load.enter() // the nested group has been joined: the unit is the task's own again
					defer load.leave()
					time.Sleep(ms)
					return nil
				})
			}
			return nil
		}, taskgroup.Use(l))
		require.NoError(t, err)
		require.EqualValues(t, 1, load.most.Load())
	})
}

func TestTasksThatWaitForUnitsAreSkippedWhenTheGroupEnds(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		l := taskgroup.NewLimiter(1)
		holder := taskgroup.New(ctx, taskgroup.Use(l))
		holder.Go(untilDone)
		synctest.Wait()
		g := taskgroup.New(ctx, taskgroup.Use(l))
		for range 3 {
			g.Go(after(0, nil))
		}
		synctest.Wait()
		g.Cancel(errA)
		require.Equal(t, 3, failed(t, g.Wait()).Skipped)
		require.NoError(t, holder.Stop())
	})
}

func TestPanicGivesUnitsBack(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		l := taskgroup.NewLimiter(2)
		for range 3 {
			p := panicOf(t, func() error {
				return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
					g.Start(taskgroup.Task{Weight: 2, Func: panics(0, "boom")})
					return nil
				}, taskgroup.Use(l))
			})
			requireCulprit(t, p)
		}
		require.NoError(t, taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Start(taskgroup.Task{Weight: 2, Func: after(0, nil)})
			return nil
		}, taskgroup.Use(l)))
	})
}

func TestLoopHoldsUnitsForOneItem(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		l := taskgroup.NewLimiter(1)
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			wg.Go(func() {
				_, err := taskgroup.Map(ctx, 1, []int{1, 2, 3}, func(context.Context, int) (int, error) {
					time.Sleep(ms)
					mu.Lock()
					defer mu.Unlock()
					order = append(order, name)
					return 0, nil
				}, taskgroup.Use(l))
				require.NoError(t, err)
			})
		}
		wg.Wait()
		require.Len(t, order, 6)
		for i := 2; i < 6; i++ {
			require.Equal(t, order[i-2], order[i], "they take turns: %v", order)
		}
	})
}

func TestLimiterRefusesWhatMakesNoSense(t *testing.T) {
	require.PanicsWithValue(t, "taskgroup: NewLimiter(0): at least 1 unit is needed", func() { taskgroup.NewLimiter(0) })
	require.PanicsWithValue(t, "taskgroup: Use called with a nil Limiter", func() { taskgroup.Use(nil) })
	g := taskgroup.New(t.Context(), taskgroup.Use(taskgroup.NewLimiter(2)))
	require.PanicsWithValue(t, "taskgroup: Start called with Weight 3 on a Limiter of 2 units", func() {
		g.Start(taskgroup.Task{Weight: 3, Func: after(0, nil)})
	})
	require.NoError(t, g.Wait())
}
