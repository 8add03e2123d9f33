package deadline_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
)

// changing is a context to which something happens while it is asked: right after one of its answers.
type changing struct {
	context.Context
	left   int // answers until then
	change func()
}

func (c *changing) answered() {
	if c.left--; c.left == 0 {
		c.change()
	}
}

func (c *changing) Deadline() (time.Time, bool) {
	defer c.answered()
	return c.Context.Deadline()
}

func (c *changing) Done() <-chan struct{} {
	defer c.answered()
	return c.Context.Done()
}

func (c *changing) Err() error {
	defer c.answered()
	return c.Context.Err()
}

func (c *changing) Value(key any) any {
	defer c.answered()
	return c.Context.Value(key)
}

// atEveryMoment calls ask with a budget "db" of 50 ms to which change happens after its first answer, with one to which
// it happens after its second, and so on, until ask ends before anything happens.
func atEveryMoment(t *testing.T, change func(cancel context.CancelCauseFunc), ask func(t *testing.T, ctx context.Context)) {
	t.Helper()
	happened := true
	for n := 1; happened; n++ {
		happened = false
		bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			ctx, stop := deadline.With(ctx, "db", 50*ms)
			defer stop()
			ask(t, &changing{Context: ctx, left: n, change: func() {
				happened = true
				change(cancel)
			}})
		})
	}
}

var errLeft = errors.New("left")

func leave(cancel context.CancelCauseFunc) { cancel(errLeft) }

func expire(context.CancelCauseFunc) {
	time.Sleep(50 * ms)
	synctest.Wait()
}

func leaveAndExpire(cancel context.CancelCauseFunc) {
	cancel(errLeft)
	time.Sleep(60 * ms)
}

func TestRequireNamesTheCauseOfACancelThatComesWhileItAsks(t *testing.T) {
	for _, change := range []func(context.CancelCauseFunc){leave, leaveAndExpire} {
		atEveryMoment(t, change, func(t *testing.T, ctx context.Context) {
			if err := deadline.Require(ctx, 0); err != nil {
				require.EqualError(t, err, "context canceled: left")
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, errLeft)
			}
		})
	}
}

func TestRequireNamesTheBudgetThatRunsOutWhileItAsks(t *testing.T) {
	atEveryMoment(t, expire, func(t *testing.T, ctx context.Context) {
		if err := deadline.Require(ctx, 0); err != nil {
			require.Equal(t, &deadline.Error{Name: "db", Limit: 50 * ms}, err)
		}
	})
}

func TestCauseNamesTheBudgetThatRunsOutWhileItAsks(t *testing.T) {
	atEveryMoment(t, expire, func(t *testing.T, ctx context.Context) {
		if e, over := deadline.Cause(ctx); over {
			require.Equal(t, &deadline.Error{Name: "db", Limit: 50 * ms}, e)
		}
	})
}

// requireCancelled makes sure that ctx does not pass for one that ran out of time, and neither does what is within it.
func requireCancelled(t *testing.T, ctx context.Context) {
	t.Helper()
	require.Equal(t, context.Canceled, ctx.Err())
	within, cancel := deadline.With(ctx, "db", time.Hour)
	defer cancel()
	for _, ctx := range []context.Context{ctx, context.WithValue(ctx, valueKey{}, 1), within} {
		_, over := deadline.Cause(ctx)
		require.False(t, over)
		err := deadline.Require(ctx, 0)
		require.ErrorIs(t, err, context.Canceled)
		require.IsNotType(t, &deadline.Error{}, err) //nolint:testifylint // it may wrap one
		_, err = deadline.Do(ctx, "row", time.Hour, func(context.Context) (int, error) { panic("called") })
		require.ErrorIs(t, err, context.Canceled)
		require.IsNotType(t, &deadline.Error{}, err) //nolint:testifylint // it may wrap one
	}
}

func TestCauseDoesNotTakeACancelWithTheCauseOfABudgetForItsEnd(t *testing.T) {
	// Each outlives the budget "step" that it is derived from.
	for name, derive := range map[string]func(ctx context.Context) (context.Context, context.CancelFunc){
		"WithoutCancel": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithoutCancel(ctx), func() {}
		},
		"shorter than the request": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.WithoutCancel(ctx), 200*ms)
		},
		"With": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return deadline.With(context.WithoutCancel(ctx), "detached", 200*ms)
		},
		"With of an inherited one": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := deadline.With(ctx, "longer", time.Hour)
			detached, stop := deadline.With(context.WithoutCancel(ctx), "detached", 200*ms)
			return detached, func() { stop(); cancel() }
		},
		"Cleanup": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return deadline.Cleanup(ctx, 200*ms)
		},
		"Linger": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return deadline.Linger(ctx, 200*ms)
		},
		"Share of a Cleanup": func(ctx context.Context) (context.Context, context.CancelFunc) {
			cleanup, cancel := deadline.Cleanup(ctx, 200*ms)
			share, stop := deadline.Share(cleanup, "share", 0.5)
			return share, func() { stop(); cancel() }
		},
		"Reserve of a Linger": func(ctx context.Context) (context.Context, context.CancelFunc) {
			linger, cancel := deadline.Linger(ctx, 200*ms)
			reserve, stop := deadline.Reserve(linger, "reserve", 100*ms)
			return reserve, func() { stop(); cancel() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				request, stop := deadline.With(ctx, "request", time.Second)
				defer stop()
				step, stop := deadline.With(request, "step", 50*ms)
				defer stop()
				derived, stop := derive(step)
				defer stop()
				group, cancel := context.WithCancelCause(derived)
				<-step.Done()
				require.NoError(t, group.Err())
				cancel(context.Cause(step))
				requireCancelled(t, group)
			})
		})
	}
}

func TestCauseOfAForeignDeadlineThatOutlivesABudgetIsInherited(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		request, stop := deadline.With(ctx, "request", 50*ms)
		defer stop()
		<-request.Done()
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(request), 10*ms, context.Cause(request))
		defer cancel()
		<-ctx.Done()
		e, over := deadline.Cause(ctx)
		require.True(t, over)
		require.Equal(t, &deadline.Error{Name: "request", Limit: 50 * ms, Inherited: true}, e)
	})
}

// lingered is what a Linger of 20 ms leaves that has outlived a cancelled parent.
func lingered(t *testing.T, ctx context.Context, derive func(ctx context.Context) (context.Context, context.CancelFunc)) (*deadline.Error, bool) {
	outer, stop := deadline.With(ctx, "request", time.Second)
	linger, cancel := deadline.Linger(outer, 20*ms)
	defer cancel()
	derived, cancel := derive(linger)
	defer cancel()
	stop()
	<-derived.Done()
	require.Equal(t, context.Canceled, derived.Err())
	return deadline.Cause(derived)
}

func TestCauseNamesTheLingerThatEndedABudget(t *testing.T) {
	for name, derive := range map[string]func(ctx context.Context) (context.Context, context.CancelFunc){
		"With": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return deadline.With(context.WithValue(ctx, valueKey{}, 1), "db", 500*ms)
		},
		"With that inherits": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return deadline.With(ctx, "db", time.Hour)
		},
		"With in Share in Reserve": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := deadline.Reserve(ctx, "answer", 20*ms)
			ctx, cancel2 := deadline.Share(ctx, "cache", 1)
			ctx, cancel3 := deadline.With(ctx, "db", 500*ms)
			return ctx, func() { cancel3(); cancel2(); cancel() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
				e, over := lingered(t, ctx, derive)
				require.True(t, over)
				require.Equal(t, &deadline.Error{Name: "linger", Limit: 20 * ms, Inherited: true}, e)
				require.Equal(t, 20*ms, now())
			})
		})
	}
}

func TestCauseTakesACancelOfItsOwnInALingerForOne(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		_, over := lingered(t, ctx, context.WithCancel)
		require.False(t, over)

		_, over = lingered(t, ctx, func(ctx context.Context) (context.Context, context.CancelFunc) {
			detached, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
			stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
			return detached, func() { stop(); cancel(nil) }
		})
		require.False(t, over)
	})
}
