package flight_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup/flight"
)

var (
	errLoad = errors.New("no such thing")
	errGone = errors.New("client went away")
)

// An outcome is what a call of Do returned, and when.
type outcome struct {
	v      int
	shared bool
	err    error
	after  time.Duration
}

type group = flight.Group[string, int]

// call starts a call of Do and returns, as soon as the call waits, where its outcome will be.
func call(ctx context.Context, g *group, key string, fn func(context.Context) (int, error)) <-chan outcome {
	done := make(chan outcome, 1)
	begin := time.Now()
	go func() {
		v, shared, err := g.Do(ctx, key, fn)
		done <- outcome{v, shared, err, time.Since(begin)}
	}()
	synctest.Wait()
	return done
}

// takes is a load that takes d, whatever becomes of its context.
func takes(d time.Duration, v int, err error) func(context.Context) (int, error) {
	return func(context.Context) (int, error) {
		time.Sleep(d)
		return v, err
	}
}

// heeds is a load that takes as long as its context lets it, and tells why that ended.
func heeds(causes chan<- error) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return 0, ctx.Err()
	}
}

// never is the function of a call that must join a load.
func never(context.Context) (int, error) { panic("the call started a load instead of joining one") }

// leaver is a context that can end with errGone.
func leaver(t *testing.T) (ctx context.Context, leave func()) {
	ctx, cancel := context.WithCancelCause(t.Context())
	return ctx, func() { cancel(errGone) }
}

func TestDoReturnsWhatTheLoadReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		require.Equal(t, outcome{1, false, nil, time.Second}, <-call(t.Context(), &g, "a", takes(time.Second, 1, nil)))
		require.Equal(t, outcome{2, false, errLoad, time.Second}, <-call(t.Context(), &g, "a", takes(time.Second, 2, errLoad)))
		require.Zero(t, g.Keys())
	})
}

func TestDoJoinsTheLoadThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		first := call(t.Context(), &g, "a", takes(time.Second, 1, nil))
		time.Sleep(400 * time.Millisecond)
		second := call(t.Context(), &g, "a", never)
		third := call(context.Background(), &g, "a", never)
		require.Equal(t, outcome{1, true, nil, time.Second}, <-first)
		require.Equal(t, outcome{1, true, nil, 600 * time.Millisecond}, <-second)
		require.Equal(t, outcome{1, true, nil, 600 * time.Millisecond}, <-third)
	})
}

func TestDoKeepsNothingOfALoadThatReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		require.Equal(t, 1, (<-call(t.Context(), &g, "a", one)).v)
		require.Equal(t, 2, (<-call(t.Context(), &g, "a", takes(0, 2, nil))).v)
	})
}

func TestDoLoadsEachKeyByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		a := call(t.Context(), &g, "a", takes(2*time.Second, 1, nil))
		b := call(t.Context(), &g, "b", takes(time.Second, 2, nil))
		require.Equal(t, outcome{2, false, nil, time.Second}, <-b)
		require.Equal(t, outcome{1, false, nil, 2 * time.Second}, <-a)
	})
}

func TestDoGivesEveryCallerTheError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		first := call(t.Context(), &g, "a", takes(time.Second, 0, errLoad))
		second := call(t.Context(), &g, "a", never)
		require.Equal(t, outcome{0, true, errLoad, time.Second}, <-first)
		require.Equal(t, outcome{0, true, errLoad, time.Second}, <-second)
	})
}

type ctxKey struct{}

func TestLoadHasTheFirstCallersValuesButNotItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), ctxKey{}, 7), time.Second)
		defer cancel()
		first := call(ctx, &g, "a", func(ctx context.Context) (int, error) {
			time.Sleep(2 * time.Second)
			_, limited := ctx.Deadline()
			require.False(t, limited)
			require.NoError(t, ctx.Err())
			return ctx.Value(ctxKey{}).(int), nil
		})
		second := call(context.WithValue(t.Context(), ctxKey{}, 8), &g, "a", never)
		require.Equal(t, outcome{0, true, context.DeadlineExceeded, time.Second}, <-first)
		require.Equal(t, outcome{7, true, nil, 2 * time.Second}, <-second)
	})
}

func TestContextOfTheLoadEndsWhenItReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, g := range []*group{{}, {Timeout: time.Hour}} {
			kept := make(chan context.Context, 1)
			<-call(t.Context(), g, "a", func(ctx context.Context) (int, error) {
				require.NoError(t, ctx.Err())
				kept <- ctx
				return 0, nil
			})
			synctest.Wait()
			require.Equal(t, context.Canceled, (<-kept).Err())
		}
	})
}

func TestCallerLeavesWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		firstCtx, firstLeaves := leaver(t)
		secondCtx, secondLeaves := leaver(t)
		first := call(firstCtx, &g, "a", takes(time.Minute, 1, nil))
		second := call(secondCtx, &g, "a", never)
		third := call(t.Context(), &g, "a", never)
		time.Sleep(time.Second)
		firstLeaves()
		require.Equal(t, outcome{0, true, errGone, time.Second}, <-first)
		time.Sleep(time.Second)
		secondLeaves()
		require.Equal(t, outcome{0, true, errGone, 2 * time.Second}, <-second)
		fourth := call(t.Context(), &g, "a", never)
		require.Equal(t, outcome{1, true, nil, time.Minute}, <-third)
		require.Equal(t, outcome{1, true, nil, 58 * time.Second}, <-fourth)
	})
}

func TestLoadIsCancelledWhenTheLastCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		causes := make(chan error, 1)
		firstCtx, firstLeaves := leaver(t)
		secondCtx, secondLeaves := leaver(t)
		first := call(firstCtx, &g, "a", heeds(causes))
		second := call(secondCtx, &g, "a", never)
		firstLeaves()
		require.Equal(t, errGone, (<-first).err)
		synctest.Wait()
		require.Empty(t, causes)
		secondLeaves()
		require.Equal(t, errGone, (<-second).err)
		require.Equal(t, context.Canceled, <-causes)
	})
}

func TestLastCallerDoesNotWaitForTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		ctx, leave := leaver(t)
		caller := call(ctx, &g, "a", takes(time.Minute, 1, nil))
		leave()
		require.Equal(t, outcome{0, false, errGone, 0}, <-caller)
		time.Sleep(time.Minute)
	})
}

func TestDoStartsAnotherLoadWhenTheLastCallerHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		ctx, leave := leaver(t)
		caller := call(ctx, &g, "a", takes(time.Minute, 1, nil))
		leave()
		require.Equal(t, errGone, (<-caller).err)
		require.Zero(t, g.Keys())
		next := call(t.Context(), &g, "a", takes(2*time.Minute, 2, nil))
		time.Sleep(90 * time.Second) // by now the load that was left behind has returned
		joined := call(t.Context(), &g, "a", never)
		require.Equal(t, outcome{2, true, nil, 2 * time.Minute}, <-next)
		require.Equal(t, outcome{2, true, nil, 30 * time.Second}, <-joined)
	})
}

func TestDoDoesNothingForAContextThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		ctx, leave := leaver(t)
		leave()
		require.Equal(t, outcome{err: errGone}, <-call(ctx, &g, "a", never))
		require.Zero(t, g.Keys())

		caller := call(t.Context(), &g, "a", takes(time.Second, 1, nil))
		require.Equal(t, outcome{err: errGone}, <-call(ctx, &g, "a", never))
		require.Equal(t, outcome{1, false, nil, time.Second}, <-caller)
	})
}

// ending is a context that ends between the check at the beginning of Do and its wait, after before has returned.
type ending struct {
	context.Context
	before func()
}

func (e ending) Done() <-chan struct{} {
	e.before()
	done := make(chan struct{})
	close(done)
	return done
}

func TestLoadThatNobodyWaitsForIsNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Whether the caller leaves before the load's goroutine gets to run is up to the scheduler, but not each time.
		const calls = 1000
		var g group
		var started atomic.Int64
		for range calls {
			_, _, err := g.Do(ending{t.Context(), func() {}}, "a", func(context.Context) (int, error) {
				started.Add(1)
				return 0, nil
			})
			require.NoError(t, err) // the cause of a context that says it has not ended
		}
		synctest.Wait()
		require.Less(t, started.Load(), int64(calls))
	})
}

func TestLoadWhoseTimeIsOverIsNotStarted(t *testing.T) {
	// On the wall clock, because on that of a bubble no time passes before the load's goroutine gets to run.
	const calls = 1000
	g := group{Timeout: 1}
	late := 0
	for range calls {
		_, _, err := g.Do(t.Context(), "a", one)
		if err != nil {
			require.Equal(t, &flight.TimeoutError{Key: "a", Limit: 1}, err)
			late++
		}
	}
	require.Positive(t, late)
}

func TestResultThatIsThereCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 { // a select would be right half the times
			var g group
			v, _, err := g.Do(ending{t.Context(), synctest.Wait}, "a", one)
			require.NoError(t, err)
			require.Equal(t, 1, v)
		}
	})
}

func TestForgetMakesTheNextCallStartALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		old := call(t.Context(), &g, "a", takes(2*time.Second, 1, nil))
		g.Forget("a")
		g.Forget("b")
		young := call(t.Context(), &g, "a", takes(3*time.Second, 2, nil))
		require.Equal(t, outcome{1, false, nil, 2 * time.Second}, <-old)
		joined := call(t.Context(), &g, "a", never)
		require.Equal(t, outcome{2, true, nil, 3 * time.Second}, <-young)
		require.Equal(t, outcome{2, true, nil, time.Second}, <-joined)
	})
}

func TestForgottenLoadIsCancelledWhenTheLastCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		causes := make(chan error, 1)
		ctx, leave := leaver(t)
		old := call(ctx, &g, "a", heeds(causes))
		g.Forget("a")
		young := call(t.Context(), &g, "a", takes(time.Second, 2, nil))
		leave()
		require.Equal(t, errGone, (<-old).err)
		require.Equal(t, context.Canceled, <-causes)
		joined := call(t.Context(), &g, "a", never)
		require.Equal(t, outcome{2, true, nil, time.Second}, <-young)
		require.Equal(t, outcome{2, true, nil, time.Second}, <-joined)
	})
}

// one is a load that returns 1 at once.
func one(context.Context) (int, error) { return 1, nil }

func TestKeysThatAreNotEqualToThemselvesAreNotKept(t *testing.T) {
	var g flight.Group[float64, int]
	v, shared, err := g.Do(t.Context(), math.NaN(), one)
	require.NoError(t, err)
	require.False(t, shared)
	require.Equal(t, 1, v)
	require.Zero(t, g.Keys())
}

func TestKeyThatCannotBeHashedLeavesTheGroupUsable(t *testing.T) {
	var g flight.Group[any, int]
	require.Panics(t, func() { _, _, _ = g.Do(t.Context(), []int{1}, never) })
	require.Panics(t, func() { g.Forget([]int{1}) })
	v, _, err := g.Do(t.Context(), "a", one)
	require.NoError(t, err)
	require.Equal(t, 1, v)
}

func TestDoPanicsWhenMisused(t *testing.T) {
	require.PanicsWithValue(t, "flight: Do called with a nil function", func() {
		_, _, _ = new(group).Do(t.Context(), "a", nil)
	})
	require.PanicsWithValue(t, "flight: the Timeout is negative", func() {
		_, _, _ = (&group{Timeout: -1}).Do(t.Context(), "a", never)
	})
}

var everywhere group

func TestGroupMayBeUsedInSeveralBubbles(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			first := call(t.Context(), &everywhere, "a", takes(time.Second, 1, nil))
			second := call(t.Context(), &everywhere, "a", never)
			require.Equal(t, outcome{1, true, nil, time.Second}, <-first)
			require.Equal(t, outcome{1, true, nil, time.Second}, <-second)
		})
	}
}
