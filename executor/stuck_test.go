package executor_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

func TestStuckCallsAreReportedOnceWithTheirStack(t *testing.T) {
	for name, opts := range map[string][]executor.CallOption{"worker": nil, "inline": {executor.Inline()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var reports []executor.Running
				var told []executor.CallInfo
				var when []time.Duration
				p := newPool(t, executor.Config{
					Name: "pdf", Workers: 2, StuckAfter: time.Minute,
					OnStuck: func(r executor.Running) {
						reports, when = append(reports, r), append(when, time.Since(start))
					},
					Hooks: &executor.Hooks{CallStuck: func(ctx context.Context, c executor.CallInfo, stack []byte) {
						require.NoError(t, ctx.Err())
						require.Contains(t, string(stack), "executor_test.stuckForever(")
						told = append(told, c)
					}},
				})
				release := make(chan struct{})
				opts := append(opts, executor.Name("render"), executor.Key("tenant"))
				stuck := background(func() (int, error) {
					return executor.Do(cancellable(t), p, func(context.Context) (int, error) { return stuckForever(release) }, opts...)
				})
				for range 200 { // others go on, and are not reported
					_, err := executor.Do(cancellable(t), p, sleep(time.Second))
					require.NoError(t, err)
				}
				synctest.Wait()
				require.Len(t, reports, 1)
				require.Contains(t, string(reports[0].Stack), "executor_test.stuckForever(")
				reports[0].Stack = nil
				require.Equal(t, executor.Running{Name: "render", Key: "tenant", Age: time.Minute}, reports[0])
				require.Equal(t, []time.Duration{time.Minute}, when)
				require.Equal(t, []executor.CallInfo{{Pool: "pdf", Name: "render", Key: "tenant", Run: time.Minute}}, told)
				require.Equal(t, 1, p.Stats().Stuck)

				close(release)
				require.NoError(t, (<-stuck).err)
				require.Zero(t, p.Stats().Stuck)
			})
		})
	}
}

func TestEachStuckCallIsReportedWhenItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		reports := make(map[string]time.Duration)
		p := newPool(t, executor.Config{
			Workers: 3, StuckAfter: time.Minute,
			OnStuck: func(r executor.Running) { reports[r.Name] = time.Since(start) },
		})
		for _, name := range []string{"first", "second", "third", "fourth"} {
			executor.Submit(t.Context(), p, sleep(70*time.Second), executor.Name(name)) // the fourth waits for the first
			time.Sleep(20 * time.Second)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, map[string]time.Duration{
			"first": 60 * time.Second, "second": 80 * time.Second, "third": 100 * time.Second, "fourth": 130 * time.Second,
		}, reports)
	})
}

func TestPoolOfStuckCallsIsReportedRefusesAtOnceAndDrainsWithAReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var reports []time.Duration
		p := newPool(t, executor.Config{
			Workers: 2, Queue: 10, StuckAfter: time.Minute,
			OnStuck: func(executor.Running) { reports = append(reports, time.Since(start)) },
		})
		release := make(chan struct{})
		hang := func(context.Context) (int, error) { return stuckForever(release) }
		executor.Submit(t.Context(), p, hang)
		time.Sleep(time.Second)
		executor.Submit(t.Context(), p, func(ctx context.Context) (int, error) { return executor.Do(ctx, p, hang) })
		time.Sleep(time.Second)

		// Those that wait are told as soon as it is known, whether they wait in Do or not, and those that come later at once.
		waiting := executor.Submit(t.Context(), p, never)
		inline := background(func() (int, error) { return executor.Do(context.Background(), p, never) })
		require.Equal(t, ending[int]{0, executor.ErrShed, 59 * time.Second}, <-inline)
		_, err := waiting.Await(t.Context())
		require.Equal(t, executor.ErrShed, err)
		require.Equal(t, 61*time.Second, time.Since(start))
		synctest.Wait()
		require.Equal(t, []time.Duration{60 * time.Second, 61 * time.Second, 61 * time.Second}, reports) // outer and inner
		for range 3 {
			_, err = executor.Do(t.Context(), p, never)
			require.Equal(t, executor.ErrShed, err)
		}
		require.Equal(t, 61*time.Second, time.Since(start))
		require.Equal(t, 2, p.Stats().Stuck)
		require.Equal(t, executor.Refusals{Shed: 5}, p.Stats().Refused)

		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var left *executor.DrainError
		require.ErrorAs(t, p.Drain(ctx), &left)
		require.Equal(t, 66*time.Second+100*time.Millisecond, time.Since(start))
		require.Len(t, left.Running, 2) // the outer call has heard of it, and abandoned the inner one
		close(release)
		require.NoError(t, p.Drain(t.Context()))
		require.Equal(t, executor.Stats{Workers: 2}, load(p))
	})
}

func TestPoolWhoseStuckCallsReturnGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, StuckAfter: time.Second})
		slow := executor.Submit(t.Context(), p, sleep(time.Minute))
		time.Sleep(2 * time.Second)
		_, err := executor.Do(t.Context(), p, never)
		require.Equal(t, executor.ErrShed, err)
		_, err = slow.Await(t.Context())
		require.NoError(t, err)
		_, err = executor.Do(t.Context(), p, noop)
		require.NoError(t, err)
	})
}

func TestDrainWaitsForTheReportOfAStuckCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reported := false
		p := newPool(t, executor.Config{Workers: 1, StuckAfter: time.Second, OnStuck: func(executor.Running) {
			time.Sleep(time.Minute)
			reported = true
		}})
		executor.Submit(t.Context(), p, sleep(2*time.Second))
		synctest.Wait()
		require.NoError(t, p.Drain(t.Context()))
		require.True(t, reported)
	})
}

func TestSlotIsStuckAsLongAsTheStuckCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: 1, StuckAfter: time.Minute})
		executor.Submit(t.Context(), p, func(ctx context.Context) (int, error) {
			ctx = context.WithoutCancel(ctx)
			executor.Submit(ctx, p, sleep(2*time.Minute))
			executor.Submit(ctx, p, sleep(30*time.Second))
			return 0, nil
		})
		time.Sleep(90 * time.Second)
		require.Equal(t, 1, p.Stats().Stuck)
		time.Sleep(40 * time.Second) // the second has the slot
		require.Equal(t, executor.Stats{Workers: 1, Running: 1, Oldest: 10 * time.Second}, load(p))
		_, err := executor.Do(t.Context(), p, noop)
		require.NoError(t, err)
	})
}

func TestReportThatExitsIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, StuckAfter: time.Second, OnStuck: func(executor.Running) { runtime.Goexit() }})
		executor.Submit(t.Context(), p, sleep(time.Minute))
		synctest.Wait()
		require.NoError(t, p.Drain(t.Context()))
	})
}

// below calls f below so many frames.
func below(frames int, f func()) {
	if frames > 0 {
		below(frames-1, f)
		return
	}
	f()
}

func TestStackOfAnInlineCallIsEmptyWhereTracebacksLeaveItOut(t *testing.T) {
	for _, frames := range []int{20, 60} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, executor.Config{Workers: 1})
			release := make(chan struct{})
			ended := background(func() (n int, err error) {
				below(frames, func() {
					n, err = executor.Do(t.Context(), p, func(context.Context) (int, error) {
						below(frames, func() { <-release })
						return 1, nil
					}, executor.Inline())
				})
				return n, err
			})
			var left *executor.DrainError
			require.ErrorAs(t, p.Close(), &left)
			require.Len(t, left.Running, 1)
			require.Equal(t, frames > 50, len(left.Running[0].Stack) == 0)
			close(release)
			require.NoError(t, (<-ended).err)
		})
	}
}
