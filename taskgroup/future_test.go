package taskgroup_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// one is a task with a value.
func one(context.Context) (int, error) { return 1, nil }

func TestEndOfTheTaskSynchronizesBeforeTheReturnOfAwait(t *testing.T) {
	g := taskgroup.New(t.Context())
	var written [100]int // not atomic: the race detector would see a missing edge
	for i := range written {
		f := taskgroup.Async(g, func(context.Context) (int, error) {
			written[i] = i
			return i, nil
		})
		v, err := f.Await(t.Context())
		require.NoError(t, err)
		require.Equal(t, v, written[i])
	}
	require.NoError(t, g.Wait())
}

// Await wakes up while the group is still about to cancel its context: it has so many tasks to skip.
func TestAwaitOfATaskThatWasSkippedFailsWithTheGroupsCause(t *testing.T) {
	for range 10 {
		g := taskgroup.New(t.Context(), taskgroup.Limit(1))
		g.Go(untilDone)
		require.NotNil(t, g.Context().Done())
		futures := []*taskgroup.Future[int]{taskgroup.Async(g, one)}
		for range 3_000 {
			taskgroup.Async(g, one)
		}
		futures = append(futures, taskgroup.Async(g, one))
		var waits sync.WaitGroup
		errs := make([]error, len(futures))
		for i, f := range futures {
			waits.Go(func() { _, errs[i] = f.Await(context.WithoutCancel(t.Context())) })
		}
		g.Cancel(errA)
		waits.Wait()
		require.Equal(t, errA, failed(t, g.Wait()).Cause)
		for _, err := range errs {
			require.ErrorIs(t, err, errA)
			require.ErrorIs(t, err, context.Canceled)
		}
	}
}

func TestFutureKeepsAnErrorThatPanicsWhenLookedInto(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx)
		f := taskgroup.Async(g, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 7, fragile(func() error { panic("boom") })
		})
		var value int
		var err error
		var waits sync.WaitGroup
		waits.Go(func() { value, err = f.Await(ctx) })
		synctest.Wait()
		g.Cancel(nil)
		waits.Wait()
		require.Equal(t, 7, value)
		require.EqualError(t, err, "fragile")
		require.Equal(t, "boom", panicOf(t, g.Wait).Value)
	})
}

func TestTaskThatAwaitsItselfWaitsUntilItsContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			self := make(chan *taskgroup.Future[int], 1)
			self <- taskgroup.Async(g, func(ctx context.Context) (int, error) {
				ctx, cancel := context.WithTimeout(ctx, ms)
				defer cancel()
				return (<-self).Await(ctx)
			})
			return nil
		}, taskgroup.Limit(1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, ms, now())
	})
}

func TestAwaitOfAQueuedTaskDoesNotOutlastTheGroup(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Limit(1))
		g.Go(after(time.Hour, nil)) // takes no notice
		synctest.Wait()
		f := taskgroup.Async(g, one)
		g.Cancel(errA)
		_, err := f.Await(ctx)
		require.ErrorIs(t, err, errA)
		require.Zero(t, now())
		require.ErrorIs(t, g.Wait(), errA)
	})
}

func TestAwaitRunsNothingOnceItsContextHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var log []string
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(func(ctx context.Context) error {
				f := taskgroup.Async(g, func(context.Context) (int, error) {
					log = append(log, "ran")
					return 1, nil
				})
				ctx, cancel := context.WithCancelCause(ctx)
				cancel(errB)
				_, err := f.Await(ctx)
				log = append(log, err.Error())
				return nil
			})
			return nil
		}, taskgroup.Limit(1))
		require.NoError(t, err)
		require.Equal(t, []string{errB.Error(), "ran"}, log)
	})
}

// A goroutine that a task has started may outlive it, and has its context.
func TestTaskThatAwaitRunsDoesNotOutliveTheGroup(t *testing.T) {
	for name, c := range map[string]struct {
		end func() (int, error)
		opt taskgroup.Option
		err error
	}{
		"it returns": {func() (int, error) { return 1, nil }, taskgroup.KeepGoing(), nil},
		"it fails":   {func() (int, error) { return 0, errA }, taskgroup.KeepGoing(), errA},
		"it panics":  {func() (int, error) { panic(errA) }, taskgroup.OnPanic(taskgroup.AsError), errA},
		"it exits":   {func() (int, error) { runtime.Goexit(); return 0, nil }, taskgroup.OnPanic(taskgroup.AsError), taskgroup.ErrGoexit},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
				g := taskgroup.New(ctx, taskgroup.Limit(1), c.opt)
				g.Go(func(ctx context.Context) error {
					f := taskgroup.Async(g, func(context.Context) (int, error) {
						time.Sleep(10 * ms)
						return c.end()
					})
					go f.Await(ctx) //nolint:errcheck // the group has what it comes to
					time.Sleep(ms)
					return nil
				})
				err := g.Wait()
				require.Equal(t, 10*ms, now())
				require.ErrorIs(t, err, c.err)
			})
		})
	}
}

func TestPanicOfATaskThatAwaitRunsIsTheOwnersThoughNobodyIsLeftInTheGroup(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Limit(1))
		g.Go(func(ctx context.Context) error {
			f := taskgroup.Async(g, func(context.Context) (int, error) {
				time.Sleep(10 * ms)
				panic("boom")
			})
			go f.Await(ctx) //nolint:errcheck // the owner gets the panic
			time.Sleep(ms)
			return nil
		})
		require.Equal(t, "boom", panicOf(t, g.Wait).Value)
	})
}

func TestAwaitStartsNothingOnceTheGroupHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithCancelCause(ctx)
		g := taskgroup.New(ctx, taskgroup.Limit(1))
		var got error
		g.Go(func(ctx context.Context) error {
			f := taskgroup.Async(g, func(context.Context) (int, error) {
				t.Error("started though the group has ended")
				return 1, nil
			})
			cancel(errA)
			_, got = f.Await(context.WithoutCancel(ctx))
			return nil
		})
		e := failed(t, g.Wait())
		require.Equal(t, errA, e.Cause)
		require.Equal(t, 1, e.Skipped)
		require.Equal(t, errA, got)
	})
}
