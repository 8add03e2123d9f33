package errgroupshim_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/bench/errgroupshim"
	"github.com/grove-go/grove/taskgroup"
)

var errFailure = errors.New("failure")

func fail(context.Context) error    { return errFailure }
func succeed(context.Context) error { return nil }

func TestAGroupIsUsedAgainAfterWaitAndATaskgroupIsNot(t *testing.T) {
	var shim errgroupshim.Group
	ran := 0
	for range 3 {
		shim.Go(func() error { ran++; return nil })
		require.NoError(t, shim.Wait())
	}
	require.Equal(t, 3, ran)

	g := taskgroup.New(t.Context())
	require.NoError(t, g.Wait())
	require.PanicsWithValue(t, "taskgroup: Go called after Wait returned", func() { g.Go(succeed) })
}

func TestTheFirstErrorOfAllRoundsStays(t *testing.T) {
	var shim errgroupshim.Group
	shim.Go(func() error { return errFailure })
	require.Equal(t, errFailure, shim.Wait())
	shim.Go(func() error { return errors.New("later") })
	require.Equal(t, errFailure, shim.Wait())
}

func TestGoBlocksAtTheLimitAndThatOfATaskgroupDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		wait := func() error { <-gate; return nil }

		var shim errgroupshim.Group
		shim.SetLimit(1)
		shim.Go(wait)
		accepted := false
		go func() {
			shim.Go(wait)
			accepted = true
		}()
		synctest.Wait()
		require.False(t, accepted)

		g := taskgroup.New(t.Context(), taskgroup.Limit(1))
		for range 2 {
			g.Go(func(context.Context) error { return wait() })
		}

		close(gate)
		synctest.Wait()
		require.True(t, accepted)
		require.NoError(t, shim.Wait())
		require.NoError(t, g.Wait())
	})
}

func TestTheCauseAndTheResultAreBareAndThoseOfATaskgroupAreNot(t *testing.T) {
	shim, ctx := errgroupshim.WithContext(t.Context())
	shim.Go(func() error { return errFailure })
	require.Equal(t, errFailure, shim.Wait())
	require.Equal(t, errFailure, context.Cause(ctx))
	require.NotErrorIs(t, context.Cause(ctx), context.Canceled)

	g := taskgroup.New(t.Context())
	g.Go(fail)
	err := g.Wait()
	require.ErrorIs(t, err, errFailure)
	require.IsType(t, (*taskgroup.Error)(nil), err)                              //nolint:testifylint // itself, and not in its chain
	require.IsType(t, (*taskgroup.CancelError)(nil), context.Cause(g.Context())) //nolint:testifylint // likewise
	require.ErrorIs(t, context.Cause(g.Context()), errFailure)
	require.ErrorIs(t, context.Cause(g.Context()), context.Canceled)
}

func TestTasksStartAfterAFailureAndThoseOfATaskgroupDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shim, ctx := errgroupshim.WithContext(t.Context())
		shim.Go(func() error { return errFailure })
		synctest.Wait()
		ran := false
		shim.Go(func() error { ran = true; return ctx.Err() })
		require.Equal(t, errFailure, shim.Wait())
		require.True(t, ran)

		g := taskgroup.New(t.Context())
		g.Go(fail)
		synctest.Wait()
		g.Go(func(context.Context) error { panic("started") })
		var e *taskgroup.Error
		require.ErrorAs(t, g.Wait(), &e)
		require.Equal(t, 1, e.Skipped)
	})
}

func TestTasksStartAfterTheEndOfTheContext(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	cancel()
	shim, _ := errgroupshim.WithContext(parent)
	ran := false
	shim.Go(func() error { ran = true; return nil })
	require.NoError(t, shim.Wait())
	require.True(t, ran)
}

func TestGoexitIsNoSuccessAndCancelsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shim errgroupshim.Group
		shim.Go(func() error { runtime.Goexit(); return nil })
		synctest.Wait()
		ran, returned := false, false
		shim.Go(func() error { ran = true; return nil })
		go func() {
			_ = shim.Wait()
			returned = true
		}()
		synctest.Wait()
		require.True(t, ran)
		require.False(t, returned)
		shim.Go(func() error { return nil })
		require.NoError(t, shim.Wait())
	})
}

func TestWaitWaitsForTasksThatTasksStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shim errgroupshim.Group
		ended := false
		shim.Go(func() error {
			time.Sleep(time.Second)
			shim.Go(func() error {
				time.Sleep(time.Second)
				ended = true
				return nil
			})
			return nil
		})
		require.NoError(t, shim.Wait())
		require.True(t, ended)
	})
}

func TestTheFirstFailureCancelsTheContextWithItself(t *testing.T) {
	shim, ctx := errgroupshim.WithContext(t.Context())
	shim.Go(func() error {
		<-ctx.Done()
		return context.Cause(ctx)
	})
	shim.Go(func() error { return errFailure })
	require.Equal(t, errFailure, shim.Wait())
}

func TestSetLimitPanicsWhileTasksAreActive(t *testing.T) {
	var shim errgroupshim.Group
	shim.SetLimit(1)
	gate := make(chan struct{})
	shim.Go(func() error { <-gate; return nil })
	require.PanicsWithError(t, "errgroupshim: SetLimit called while 1 tasks are active", func() { shim.SetLimit(2) })
	close(gate)
	require.NoError(t, shim.Wait())
	shim.SetLimit(-1)
	require.True(t, shim.TryGo(func() error { return nil }))
	require.NoError(t, shim.Wait())
}

func TestTheContextEndsWithWait(t *testing.T) {
	shim, ctx := errgroupshim.WithContext(t.Context())
	shim.Go(func() error { return nil })
	require.NoError(t, ctx.Err())
	require.NoError(t, shim.Wait())
	require.Equal(t, context.Canceled, context.Cause(ctx))
}
