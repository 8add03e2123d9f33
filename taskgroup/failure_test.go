package taskgroup_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

func TestFirstFailureCancelsTheRest(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(after(10*ms, errA))
			g.Go(untilDone)
			g.Go(untilDone)
			return nil
		})
		require.Equal(t, 10*ms, now())
		e := failed(t, err)
		require.Equal(t, []error{errA}, errorsOf(e))
		require.Equal(t, 2, e.Canceled)
	})
}

func TestFailureOfTheBodyCancelsTheRest(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(untilDone)
			time.Sleep(10 * ms)
			return errA
		})
		require.Equal(t, 10*ms, now())
		require.Equal(t, 1, failed(t, err).Canceled)
	})
}

func TestKeepGoingCancelsNothingAndReportsAllFailures(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		err := taskgroup.Run(ctx, func(ctx context.Context, g *taskgroup.Group) error {
			g.Go(after(20*ms, errA))
			g.Go(after(10*ms, errB))
			g.Go(func(ctx context.Context) error {
				time.Sleep(30 * ms)
				return ctx.Err()
			})
			time.Sleep(15 * ms)
			g.Go(after(25*ms, nil))
			require.NoError(t, ctx.Err())
			return errA
		}, taskgroup.KeepGoing())
		require.Equal(t, 40*ms, now())
		e := failed(t, err)
		require.Equal(t, []error{errB, errA, errA}, errorsOf(e), "in the order in which they happened")
		require.Equal(t, errB, e.Cause)
		require.Zero(t, e.Dropped+e.Canceled+e.Skipped)
	})
}

func TestKeepGoingReportsTheEndOfTheParentAsCause(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, 20*ms)
		defer cancel()
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(after(10*ms, errA))
			g.Go(untilDone)
			return nil
		}, taskgroup.KeepGoing())
		require.Equal(t, 20*ms, now())
		e := failed(t, err)
		require.Equal(t, context.DeadlineExceeded, e.Cause)
		require.Equal(t, []error{errA}, errorsOf(e))
		require.Equal(t, 1, e.Canceled)
	})
}

func TestSixteenFailuresAreKeptByDefault(t *testing.T) {
	require.Equal(t, 16, kept(t, taskgroup.KeepGoing()))
}

func TestMaxErrorsFailuresAreKeptAndTheRestCounted(t *testing.T) {
	require.Equal(t, 3, kept(t, taskgroup.KeepGoing(), taskgroup.MaxErrors(3)))
	require.Equal(t, 20, kept(t, taskgroup.KeepGoing(), taskgroup.MaxErrors(20)))
	require.Equal(t, 1, kept(t, taskgroup.MaxErrors(1)), "failures that followed the cancellation")
}

// kept returns how many failures of 20 tasks are listed. They are the first, and the others have to be counted.
func kept(t *testing.T, opts ...taskgroup.Option) (listed int) {
	t.Helper()
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx, opts...)
		for i := range 20 {
			g.Go(after(time.Duration(i+1)*ms, fmt.Errorf("failure %d", i)))
		}
		e := failed(t, g.Wait())
		for i, task := range e.Tasks {
			require.EqualError(t, task.Err, fmt.Sprintf("failure %d", i))
		}
		listed = len(e.Tasks)
		require.Equal(t, 20-listed, e.Dropped)
	})
	return listed
}

func TestRunAndWaitReturnNilOrAnError(t *testing.T) {
	for _, n := range []int{1, 2, 20} {
		err := taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
			for range n {
				g.Go(after(0, errA))
			}
			return nil
		}, taskgroup.KeepGoing())
		require.Len(t, failed(t, err).Tasks, min(n, 16), "one failure is reported like many")
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	g := taskgroup.New(ended)
	g.Go(untilDone)
	require.Empty(t, failed(t, g.Wait()).Tasks)

	g = taskgroup.New(t.Context())
	g.Go(after(0, nil))
	require.NoError(t, g.Wait())
}

// What the others do when a failure has cancelled them must never come first. They race for real: one kind blocks until
// the cancellation, the other looks for it all the time, and there are so many contexts to cancel that both have time.
func TestCauseIsRecordedBeforeTheContextIsCancelled(t *testing.T) {
	for range 50 {
		g := taskgroup.New(t.Context())
		for range 1000 {
			_, cancel := context.WithCancel(g.Context())
			defer cancel()
		}
		for range 3 {
			g.Go(func(ctx context.Context) error {
				<-ctx.Done()
				return fmt.Errorf("rollback: %w", errB)
			})
			g.Go(func(ctx context.Context) error {
				for ctx.Err() == nil {
					runtime.Gosched()
				}
				return context.Cause(ctx)
			})
		}
		g.Go(func(context.Context) error { return errA })
		e := failed(t, g.Wait())
		require.Equal(t, errA, e.Cause)
		require.Equal(t, errA, e.Tasks[0].Err)
		require.Len(t, e.Tasks, 1+3-skippedOf(e, 3))
	}
}

// skippedOf is how many of the tasks that fail after the cancellation have not been started. The other kind of task,
// of which there are n too, was cancelled or skipped.
func skippedOf(e *taskgroup.Error, n int) int { return e.Skipped - (n - e.Canceled) }

func TestCauseIsNeverReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, 20*ms)
		defer cancel()
		g := taskgroup.New(ctx)
		g.Go(after(10*ms, errA))
		g.Go(after(30*ms, errB))
		time.Sleep(15 * ms)
		g.Cancel(errB)
		cause := context.Cause(g.Context())
		require.Equal(t, &taskgroup.CancelError{Cause: errA}, cause)
		time.Sleep(10 * ms)
		require.Error(t, ctx.Err())

		err := g.Stop()
		e := failed(t, err)
		require.Equal(t, errA, e.Cause)
		require.Equal(t, []error{errA, errB}, errorsOf(e), "what fails later is listed")
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.Same(t, cause, context.Cause(g.Context()))
		require.Equal(t, context.Canceled, g.Context().Err())
	})
}

func TestEndOfTheParentIsNotReplacedAsCause(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, 10*ms)
		defer cancel()
		g := taskgroup.New(ctx)
		g.Go(after(20*ms, errA))
		time.Sleep(15 * ms)
		g.Cancel(errB)
		err := g.Wait()
		e := failed(t, err)
		require.Equal(t, context.DeadlineExceeded, e.Cause)
		require.Equal(t, []error{errA}, errorsOf(e))
		require.NotErrorIs(t, err, errB)
	})
}

func TestFailureOfTheBodyIsListedLikeATasks(t *testing.T) {
	body := func(context.Context, *taskgroup.Group) error { return errA }
	err := taskgroup.Run(t.Context(), body)
	e := failed(t, err)
	require.Equal(t, errA, e.Cause)
	require.Equal(t, []error{errA}, errorsOf(e))
	require.Contains(t, e.Tasks[0].Func, "TestFailureOfTheBodyIsListedLikeATasks.func1")
	require.ErrorIs(t, err, errA)
}

func TestFailureOfABodyThatHasWaitedIsReported(t *testing.T) {
	err := taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
		g.Go(after(0, nil))
		if err := g.Wait(); err != nil {
			return err
		}
		return errA // such as that of a commit
	})
	require.Equal(t, []error{errA}, errorsOf(failed(t, err)))
}

func TestCancelledWorkOfABodyThatHasWaitedIsReported(t *testing.T) {
	err := taskgroup.Run(t.Context(), func(ctx context.Context, g *taskgroup.Group) error {
		if err := g.Wait(); err != nil {
			return err
		}
		return ctx.Err() // the context has ended with Wait, so whatever uses it fails
	})
	require.Error(t, err)
}

func TestFailureOfABodyThatHasWaitedForFailuresChangesNothing(t *testing.T) {
	var first error
	err := taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
		g.Go(after(0, errA))
		first = g.Wait()
		return first
	})
	require.Same(t, failed(t, first), err)
	require.Equal(t, []error{errA}, errorsOf(failed(t, err)))
}

func TestFailureOfABodyIsReportedBesideThoseThatItHasWaitedFor(t *testing.T) {
	for name, both := range map[string]func(a, b error) error{
		"joined":  func(a, b error) error { return errors.Join(a, b) },
		"instead": func(_, b error) error { return b },
	} {
		t.Run(name, func(t *testing.T) {
			err := taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
				g.Go(after(0, errA))
				return both(g.Wait(), errB)
			})
			e := failed(t, err)
			require.Equal(t, errA, e.Cause)
			require.ErrorIs(t, err, errA)
			require.ErrorIs(t, err, errB)

			err = taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
				g.Go(after(0, errA))
				return both(g.Wait(), errB)
			}, taskgroup.MaxErrors(1))
			e = failed(t, err)
			require.Len(t, e.Tasks, 1)
			require.Equal(t, 1, e.Dropped)
		})
	}
}

func TestFailureOfABodyIsReportedThoughOthersWaitMeanwhile(t *testing.T) {
	for range 2000 {
		var others sync.WaitGroup
		err := taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
			others.Go(func() { _ = g.Wait() })
			return errA
		})
		require.Equal(t, []error{errA}, errorsOf(failed(t, err)))
		others.Wait()
	}
}
