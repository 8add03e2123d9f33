package taskgroup_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

func TestEndOfAGroupCancelsItsContextWithACancelError(t *testing.T) {
	for _, c := range []struct {
		name  string
		end   func(*taskgroup.Group)
		cause error
	}{
		{"failure", func(g *taskgroup.Group) { g.Go(after(0, errA)) }, errA},
		{"Cancel", func(g *taskgroup.Group) { g.Cancel(errB) }, errB},
		{"Cancel(nil)", func(g *taskgroup.Group) { g.Cancel(nil) }, taskgroup.ErrStopped},
		{"Stop", func(g *taskgroup.Group) { _ = g.Stop() }, taskgroup.ErrStopped},
		{"Wait", func(g *taskgroup.Group) { _ = g.Wait() }, taskgroup.ErrStopped},
	} {
		for _, name := range []string{"", "checkout"} {
			t.Run(c.name+name, func(t *testing.T) {
				bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
					g := taskgroup.New(ctx, taskgroup.Name(name))
					c.end(g)
					synctest.Wait()
					require.Equal(t, context.Canceled, g.Context().Err())
					cause := context.Cause(g.Context())
					require.Equal(t, &taskgroup.CancelError{Group: name, Cause: c.cause}, cause)
					require.ErrorIs(t, cause, context.Canceled)
					require.ErrorIs(t, cause, c.cause)
					_ = g.Wait()
					require.Equal(t, cause, context.Cause(g.Context()))
				})
			})
		}
	}
}

func TestEndOfTheParentPassesThroughAsItIs(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := context.WithTimeoutCause(ctx, 10*ms, errB)
		defer cancel()
		err := taskgroup.Run(ctx, func(ctx context.Context, g *taskgroup.Group) error {
			g.Go(func(ctx context.Context) error {
				<-ctx.Done()
				require.Equal(t, 10*ms, now())
				require.Equal(t, context.DeadlineExceeded, ctx.Err())
				require.Equal(t, errB, context.Cause(ctx))
				return ctx.Err()
			})
			<-ctx.Done()
			require.Equal(t, errB, context.Cause(ctx))
			return nil
		})
		require.Equal(t, errB, failed(t, err).Cause)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestWorkThatIsCompleteWhenTheParentEndsIsASuccess(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, 10*ms)
		defer cancel()
		require.NoError(t, taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(after(20*ms, nil))
			g.Go(func(ctx context.Context) error {
				<-ctx.Done()
				return nil
			})
			return nil
		}))
		require.Equal(t, 20*ms, now())
	})
}

// cutShort are the ways in which the end of the parent, after 10 ms, is noticed. Each is told the group.
var cutShort = map[string]func(context.Context, *taskgroup.Group) error{
	"a task is skipped": func(_ context.Context, g *taskgroup.Group) error {
		time.Sleep(20 * ms)
		g.Go(after(0, nil))
		return nil
	},
	"a queued task is skipped": func(_ context.Context, g *taskgroup.Group) error {
		g.Go(after(20*ms, nil))
		g.Go(after(0, nil))
		return nil
	},
	"a task stops": func(_ context.Context, g *taskgroup.Group) error {
		g.Go(untilDone)
		return nil
	},
	"the body stops": func(ctx context.Context, _ *taskgroup.Group) error { return untilDone(ctx) },
}

func TestEndOfTheParentIsReportedWhenItCutTheWorkShort(t *testing.T) {
	for name, body := range cutShort {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				ctx, cancel := context.WithTimeoutCause(ctx, 10*ms, errA)
				defer cancel()
				err := taskgroup.Run(ctx, body, taskgroup.Limit(1))
				e := failed(t, err)
				require.Equal(t, errA, e.Cause)
				require.Empty(t, e.Tasks)
				require.Equal(t, 1, e.Canceled+e.Skipped)
				require.ErrorIs(t, err, errA)
			})
		})
	}
}

func TestReportedEndOfTheParentIsItsErr(t *testing.T) {
	for name, body := range cutShort {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				ctx, cancel := context.WithTimeoutCause(ctx, 10*ms, errA)
				defer cancel()
				err := taskgroup.Run(ctx, body, taskgroup.Limit(1))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NotErrorIs(t, err, context.Canceled)
			})
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				ctx, cancel := context.WithCancelCause(ctx)
				stop := time.AfterFunc(10*ms, func() { cancel(errA) })
				defer stop.Stop()
				err := taskgroup.Run(ctx, body, taskgroup.Limit(1))
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, errA)
			})
		})
	}
}

func TestEndOfTheParentIsReportedThoughTheBodyHasWaited(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	err := taskgroup.Run(ctx, func(ctx context.Context, g *taskgroup.Group) error {
		cancel(errA)
		if err := g.Wait(); err != nil {
			return err
		}
		return ctx.Err()
	})
	require.Equal(t, errA, failed(t, err).Cause)
	require.ErrorIs(t, err, context.Canceled)
}

func TestStoppedGroupReportsNothing(t *testing.T) {
	for name, stop := range map[string]func(*taskgroup.Group) error{
		"Stop": (*taskgroup.Group).Stop,
		"Cancel(nil)": func(g *taskgroup.Group) error {
			g.Cancel(nil)
			return g.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
				g := taskgroup.New(ctx, taskgroup.Limit(2))
				var ran atomic.Int32
				for range 10 {
					g.Go(func(ctx context.Context) error {
						ran.Add(1)
						return untilDone(ctx)
					})
				}
				time.Sleep(10 * ms)
				require.NoError(t, stop(g))
				require.Equal(t, int32(2), ran.Load(), "the others are skipped")
				require.Equal(t, 10*ms, now())
			})
		})
	}
}

func TestFailuresOfAStoppedGroupAreReported(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Go(func(ctx context.Context) error {
			<-ctx.Done()
			return errA
		})
		synctest.Wait()
		e := failed(t, g.Stop())
		require.Equal(t, taskgroup.ErrStopped, e.Cause)
		require.Equal(t, []error{errA}, errorsOf(e))
	})
}

func TestCancelWithACauseIsAlwaysReported(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Cancel(errA)
		require.Equal(t, errA, failed(t, g.Wait()).Cause, "of a group without tasks")

		g = taskgroup.New(ctx)
		g.Go(after(10*ms, nil))
		time.Sleep(20 * ms)
		g.Cancel(errA)
		require.Equal(t, errA, failed(t, g.Stop()).Cause, "of a group whose tasks have ended")

		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(untilDone)
			synctest.Wait()
			g.Cancel(errA)
			return nil
		})
		e := failed(t, err)
		require.Equal(t, errA, e.Cause)
		require.Equal(t, 1, e.Canceled)
		require.Empty(t, e.Tasks)
		require.ErrorIs(t, err, errA)
	})
}

func TestCancelDoesNothingAfterWaitReturned(t *testing.T) {
	g := taskgroup.New(t.Context())
	require.NoError(t, g.Wait())
	g.Cancel(errA)
	require.NoError(t, g.Wait())
	require.Equal(t, &taskgroup.CancelError{Cause: taskgroup.ErrStopped}, context.Cause(g.Context()))
}

func TestCancelMayRaceWithWait(t *testing.T) {
	for range 1000 {
		g := taskgroup.New(t.Context())
		g.Go(after(0, nil))
		cancelled := make(chan struct{})
		go func() {
			defer close(cancelled)
			g.Cancel(nil)
		}()
		require.NoError(t, g.Wait())
		<-cancelled
	}
}

// untilStopped is a task that waits for the end of its context, but for an hour at most.
func untilStopped(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(time.Hour):
	}
	return nil
}

func TestStopOfAGroupThatIsIdleCancelsWhatIsStartedMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Start(taskgroup.Task{Background: true, Func: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(10 * ms) // while Stop waits for this, somebody starts a task
			return nil
		}})
		synctest.Wait()
		go func() {
			time.Sleep(5 * ms)
			g.Go(untilStopped)
		}()
		require.NoError(t, g.Stop())
		require.Equal(t, 10*ms, now())
	})
}

// The group of a long-lived object is idle between requests: one that arrives while it is being stopped is either too
// late, or told to stop.
func TestStopDoesNotWaitForATaskThatItHasNotToldToStop(t *testing.T) {
	for name, before := range map[string]func(*taskgroup.Group){
		"new": func(*taskgroup.Group) {},
		"a task has ended": func(g *taskgroup.Group) {
			g.Go(after(0, nil))
		},
		"a background task has ended": func(g *taskgroup.Group) {
			g.Start(taskgroup.Task{Background: true, Func: after(0, nil)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
				for range 2000 {
					g := taskgroup.New(ctx)
					before(g)
					synctest.Wait()
					late := make(chan any)
					go func() {
						defer func() { late <- recover() }()
						g.Go(untilStopped)
					}()
					require.NoError(t, g.Stop())
					if v := <-late; v != nil {
						require.Equal(t, "taskgroup: Go called after Wait returned", v)
					}
					require.Zero(t, now())
				}
			})
		})
	}
}
