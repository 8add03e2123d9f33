package deadline_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/internal/fault"
)

// answer is an attempt that takes its time, unless its context ends first, and then succeeds with its number.
func answer(times ...time.Duration) func(context.Context, int) (int, error) {
	return func(ctx context.Context, attempt int) (int, error) {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(times[attempt-1]):
			return attempt, nil
		}
	}
}

func TestHedgeReturnsTheFirstAttemptThatIsInTime(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		v, err := deadline.Hedge(ctx, deadline.HedgePolicy{Delay: 20 * ms}, answer(10*ms))
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, 10*ms, now())
	})
}

func TestHedgeStartsAnotherAttemptAfterTheDelay(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		v, err := deadline.Hedge(ctx, deadline.HedgePolicy{Delay: 20 * ms}, answer(time.Hour, 5*ms))
		require.NoError(t, err)
		require.Equal(t, 2, v)
		require.Equal(t, 25*ms, now())
	})
}

func TestHedgeStartsTheNextAttemptAtOnceUponAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		at := make([]time.Duration, 3)
		_, err := deadline.Hedge(ctx, deadline.HedgePolicy{Delay: 20 * ms, Attempts: 3}, func(ctx context.Context, attempt int) (int, error) {
			at[attempt-1] = now()
			time.Sleep(5 * ms)
			if attempt == 1 {
				return 0, errDown
			}
			return untilDoneFor(ctx, 30*ms)
		})
		require.NoError(t, err)
		require.Equal(t, []time.Duration{0, 5 * ms, 25 * ms}, at) // the delay begins again with each start
		require.Equal(t, 40*ms, now())
	})
}

// untilDoneFor waits for the end of ctx, but no longer than d, which is a success.
func untilDoneFor(ctx context.Context, d time.Duration) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(d):
		return 1, nil
	}
}

func TestHedgeWithoutADelayStartsAllAttempts(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		v, err := deadline.Hedge(ctx, deadline.HedgePolicy{Attempts: 3}, answer(30*ms, 20*ms, 10*ms))
		require.NoError(t, err)
		require.Equal(t, 3, v)
		require.Equal(t, 10*ms, now())
	})
}

func TestHedgeAsksForTheDelayAfterEachStartButTheLast(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		delays := []time.Duration{10 * ms, 15 * ms}
		at := make([]time.Duration, 3)
		p := deadline.HedgePolicy{Attempts: 3, Delay: time.Hour, DelayFunc: func() time.Duration {
			d := delays[0]
			delays = delays[1:]
			return d
		}}
		_, err := deadline.Hedge(ctx, p, func(ctx context.Context, attempt int) (int, error) {
			at[attempt-1] = now()
			return untilDoneFor(ctx, 50*ms)
		})
		require.NoError(t, err)
		require.Equal(t, []time.Duration{0, 10 * ms, 25 * ms}, at)
		require.Empty(t, delays)
	})
}

func TestHedgeGivesAttemptsTheDeadlineOfTheCaller(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "request", 50*ms)
		defer cancel()
		_, err := deadline.Hedge(ctx, deadline.HedgePolicy{Delay: 20 * ms}, func(ctx context.Context, attempt int) (int, error) {
			left, _ := deadline.Remaining(ctx)
			require.Equal(t, 50*ms-time.Duration(attempt-1)*20*ms, left)
			return untilDone(ctx)
		})
		require.Equal(t, &deadline.RetryError{
			Attempts: []error{context.DeadlineExceeded, context.DeadlineExceeded},
			Stopped:  &deadline.Error{Name: "request", Limit: 50 * ms},
		}, err)
		require.Equal(t, 50*ms, now())
	})
}

func TestHedgeCancelsAndJoinsLosers(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var ended time.Duration
		v, err := deadline.Hedge(ctx, deadline.HedgePolicy{Delay: 10 * ms}, func(ctx context.Context, attempt int) (int, error) {
			if attempt == 2 {
				return attempt, nil
			}
			<-ctx.Done()
			require.Equal(t, 10*ms, now())
			time.Sleep(7 * ms)
			ended = now()
			return 0, ctx.Err()
		})
		require.NoError(t, err)
		require.Equal(t, 2, v)
		require.Equal(t, 17*ms, ended)
		require.Equal(t, 17*ms, now())
	})
}

func TestHedgeEndsTheContextOfAFailedAttemptAtOnce(t *testing.T) {
	var first func() error
	_, err := deadline.Hedge(t.Context(), deadline.HedgePolicy{Delay: time.Hour}, func(ctx context.Context, attempt int) (int, error) {
		if attempt == 1 {
			first = ctx.Err
			return 0, errDown
		}
		return 0, first()
	})
	require.Equal(t, &deadline.RetryError{Attempts: []error{errDown, context.Canceled}}, err)
}

func TestHedgeLooksForAResultBeforeItStartsAnotherAttempt(t *testing.T) {
	for range 50 { // either could be looked at first
		bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
			delay := func() time.Duration { // takes so long that the result is there and the delay is over
				time.Sleep(10 * ms)
				return 0
			}
			v, err := deadline.Hedge(ctx, deadline.HedgePolicy{DelayFunc: delay}, answer(5*ms))
			require.NoError(t, err)
			require.Equal(t, 1, v)
		})
	}
}

func TestHedgeDiscardsLateResultsOnce(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var first, second []int
		v, err := deadline.Hedge(ctx, deadline.HedgePolicy{Attempts: 3}, func(_ context.Context, attempt int) (int, error) {
			time.Sleep(time.Duration(attempt) * ms)
			return attempt, nil
		}, func(v int) { first = append(first, v) }, func(v int) { second = append(second, v) })
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, []int{2, 3}, first)
		require.Equal(t, first, second)
	})
}

func TestHedgeStopsAtAFatalErrorAndCancelsTheRest(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		p := deadline.HedgePolicy{Delay: 10 * ms, Attempts: 3, Fatal: func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }}
		_, err := deadline.Hedge(ctx, p, func(ctx context.Context, attempt int) (int, error) {
			if attempt == 2 {
				time.Sleep(5 * ms)
				return 0, io.ErrUnexpectedEOF
			}
			return untilDone(ctx)
		})
		require.Equal(t, &deadline.RetryError{Attempts: []error{io.ErrUnexpectedEOF}}, err)
		require.Equal(t, 15*ms, now())
	})
}

func TestHedgeWithoutBudgetLetsRunningAttemptsFinish(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		b := deadline.NewBudget(10, 0.1)
		fail(t, b, 5)
		p := deadline.HedgePolicy{Delay: 10 * ms, Budget: b}
		v, err := deadline.Hedge(ctx, p, answer(30*ms))
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, 30*ms, now())
		require.Equal(t, int64(51e5), b.Tokens())

		fail(t, b, 1)
		_, err = deadline.Hedge(ctx, p, func(context.Context, int) (int, error) {
			time.Sleep(30 * ms)
			return 0, errDown
		})
		require.Equal(t, &deadline.RetryError{Attempts: []error{errDown}, Stopped: deadline.ErrBudget}, err)
		require.Equal(t, 60*ms, now())
	})
}

func TestHedgeStartsNothingWithLessThanItNeeds(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := deadline.With(ctx, "request", 50*ms)
		defer cancel()
		p := deadline.HedgePolicy{Delay: 30 * ms, Need: 21 * ms}
		v, err := deadline.Hedge(ctx, p, answer(40*ms))
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, 40*ms, now())

		_, err = deadline.Hedge(ctx, p, func(context.Context, int) (int, error) { panic("called") })
		require.EqualError(t, err, "deadline: no attempt made (stopped: deadline: request: need 21ms, 10ms left)")
	})
}

func TestHedgeStartsTheNextAttemptWhenTheServiceAsks(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		at := make([]time.Duration, 3)
		p := deadline.HedgePolicy{Delay: 20 * ms, Attempts: 3}
		_, err := deadline.Hedge(ctx, p, func(_ context.Context, attempt int) (int, error) {
			at[attempt-1] = now()
			if attempt == 1 {
				return 0, pushback(50 * ms)
			}
			time.Sleep(time.Second)
			return attempt, nil
		})
		require.NoError(t, err)
		require.Equal(t, []time.Duration{0, 50 * ms, 70 * ms}, at)

		_, err = deadline.Hedge(ctx, p, func(context.Context, int) (int, error) { return 0, pushback(-1) })
		require.Equal(t, &deadline.RetryError{Attempts: []error{pushback(-1)}}, err)
	})
}

func TestHedgeReturnsWhenItsCallerLeavesWhileNothingRuns(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(30*ms, cancel)
		_, err := deadline.Hedge(ctx, deadline.HedgePolicy{Delay: time.Minute}, func(context.Context, int) (int, error) {
			return 0, pushback(time.Hour)
		})
		require.Equal(t, 30*ms, now())
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestHedgeReturnsAResultThoughItsCallerHasLeft(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(30*ms, cancel)
		v, err := deadline.Hedge(ctx, deadline.HedgePolicy{Delay: time.Hour}, func(context.Context, int) (int, error) {
			time.Sleep(50 * ms)
			return 7, nil
		})
		require.NoError(t, err)
		require.Equal(t, 7, v)
	})
}

func TestHedgeDoesNotCallWhenTimeIsOver(t *testing.T) {
	ctx, cancel := deadline.With(t.Context(), "request", 0)
	defer cancel()
	_, err := deadline.Hedge(ctx, deadline.HedgePolicy{}, func(context.Context, int) (int, error) { panic("called") })
	require.Equal(t, &deadline.RetryError{Stopped: &deadline.Error{Name: "request"}}, err)
}

func TestHedgePanicsWithThePanicOfAnAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var discarded []int
		defer func() {
			p, ok := recover().(*fault.PanicError)
			require.True(t, ok)
			require.Equal(t, "boom", p.Value)
			require.Equal(t, "attempt 2", p.Task)
			require.Contains(t, strings.Split(string(p.Stack), "\n")[1], "deadline_test.TestHedgePanicsWithThePanicOfAnAttempt")
			require.Equal(t, []int{1}, discarded)
			require.Equal(t, 8*ms, now())
		}()
		_, _ = deadline.Hedge(ctx, deadline.HedgePolicy{}, func(ctx context.Context, attempt int) (int, error) {
			if attempt == 2 {
				time.Sleep(ms)
				panic("boom")
			}
			<-ctx.Done()
			time.Sleep(7 * ms)
			return attempt, nil
		}, func(v int) { discarded = append(discarded, v) })
	})
}

func TestHedgeDoesNotHideThePanicOfALoser(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var discarded []int
		var winner func() error
		require.PanicsWithError(t, "panic in attempt 1: boom", func() {
			defer func() {
				if p, ok := recover().(*fault.PanicError); ok {
					panic(errors.New(p.Summary()))
				}
			}()
			_, _, _ = deadline.HedgeHeld(ctx, deadline.HedgePolicy{}, func(ctx context.Context, attempt int) (int, error) {
				if attempt == 2 {
					winner = ctx.Err
					return attempt, nil
				}
				<-ctx.Done()
				panic("boom")
			}, func(v int) { discarded = append(discarded, v) })
		})
		require.Equal(t, []int{2}, discarded)
		require.Error(t, winner())
	})
}

func TestHedgePanicsWithTheFirstOfSeveralPanics(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		defer func() {
			p, ok := recover().(*fault.PanicError)
			require.True(t, ok)
			require.Equal(t, "attempt 1", p.Task)
		}()
		_, _ = deadline.Hedge(ctx, deadline.HedgePolicy{Attempts: 3}, func(ctx context.Context, attempt int) (int, error) {
			if attempt > 1 {
				<-ctx.Done()
			} else {
				time.Sleep(ms)
			}
			panic("boom")
		})
	})
}

func TestHedgePanicsWithErrAbortHandlerItself(t *testing.T) {
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		_, _ = deadline.Hedge(t.Context(), deadline.HedgePolicy{}, func(context.Context, int) (int, error) {
			panic(http.ErrAbortHandler)
		})
	})
}

func TestHedgeExitsWhenAnAttemptDoes(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var discarded []int
		after := false
		exited := make(chan struct{})
		go func() {
			defer close(exited)
			_, _ = deadline.Hedge(ctx, deadline.HedgePolicy{}, func(ctx context.Context, attempt int) (int, error) {
				if attempt == 1 {
					time.Sleep(ms)
					runtime.Goexit()
				}
				<-ctx.Done()
				return attempt, nil
			}, func(v int) { discarded = append(discarded, v) })
			after = true
		}()
		<-exited
		require.False(t, after)
		require.Equal(t, []int{2}, discarded)
	})
}

func TestHedgeJoinsAttemptsWhenItsPolicyPanics(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var discarded []int
		f := func(ctx context.Context, attempt int) (int, error) {
			if attempt == 2 {
				return 0, errDown
			}
			<-ctx.Done()
			return attempt, nil
		}
		discard := func(v int) { discarded = append(discarded, v) }
		require.PanicsWithValue(t, "fatal", func() {
			_, _ = deadline.Hedge(ctx, deadline.HedgePolicy{Fatal: func(error) bool { panic("fatal") }}, f, discard)
		})
		require.PanicsWithValue(t, "delay", func() {
			_, _ = deadline.Hedge(ctx, deadline.HedgePolicy{DelayFunc: func() time.Duration { panic("delay") }}, f, discard)
		})
		require.Equal(t, []int{1, 1}, discarded)
	})
}

func TestHedgePanicsOnAnImpossiblePolicy(t *testing.T) {
	for text, p := range map[string]deadline.HedgePolicy{
		"deadline: HedgePolicy.Attempts is negative: -1": {Attempts: -1},
		"deadline: HedgePolicy.Delay is negative: -1s":   {Delay: -time.Second},
		"deadline: HedgePolicy.Need is negative: -1s":    {Need: -time.Second},
	} {
		require.PanicsWithValue(t, text, func() { _, _ = deadline.Hedge(t.Context(), p, answer(0)) })
	}
}

func TestHedgeEndsTheContextOfTheWinner(t *testing.T) {
	var winner func() error
	_, err := deadline.Hedge(t.Context(), deadline.HedgePolicy{Attempts: 1}, func(ctx context.Context, _ int) (int, error) {
		winner = ctx.Err
		return 0, nil
	})
	require.NoError(t, err)
	require.Error(t, winner())
}

func TestHedgeEndsTheContextOfTheWinnerBeforeItWaitsForTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var winner func() error
		_, err := deadline.Hedge(ctx, deadline.HedgePolicy{Delay: ms}, func(ctx context.Context, attempt int) (int, error) {
			if attempt == 2 {
				winner = ctx.Err
				return attempt, nil
			}
			<-ctx.Done()
			time.Sleep(ms)
			require.Equal(t, context.Canceled, winner())
			return 0, ctx.Err()
		})
		require.NoError(t, err)
	})
}

func TestHedgeHeldEndsTheContextOfAWinnerThatAPanicOfDiscardLoses(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var winner func() error
		require.PanicsWithValue(t, "discard", func() {
			_, _, _ = deadline.HedgeHeld(ctx, deadline.HedgePolicy{Delay: ms}, func(ctx context.Context, attempt int) (int, error) {
				if attempt == 2 {
					winner = ctx.Err
				} else {
					<-ctx.Done()
				}
				return attempt, nil
			}, func(int) { panic("discard") })
		})
		require.Equal(t, context.Canceled, winner())
	})
}

func TestHedgeHeldKeepsTheContextOfTheWinnerUntilRelease(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		states := make([]func() error, 3)
		v, release, err := deadline.HedgeHeld(ctx, deadline.HedgePolicy{Delay: 10 * ms, Attempts: 3}, func(ctx context.Context, attempt int) (int, error) {
			states[attempt-1] = ctx.Err
			return answer(time.Hour, 25*ms, time.Hour)(ctx, attempt)
		})
		require.NoError(t, err)
		require.Equal(t, 2, v)
		require.Error(t, states[0]())
		require.Error(t, states[2]())
		time.Sleep(time.Hour)
		require.NoError(t, states[1]())
		release()
		release()
		require.Equal(t, context.Canceled, states[1]())
	})
}

func TestHedgeHeldContextEndsWithItsCaller(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithCancel(ctx)
		var winner func() error
		_, release, err := deadline.HedgeHeld(ctx, deadline.HedgePolicy{Attempts: 1}, func(ctx context.Context, _ int) (int, error) {
			winner = ctx.Err
			return 0, nil
		})
		require.NoError(t, err)
		defer release()
		require.NoError(t, winner())
		cancel()
		synctest.Wait()
		require.Error(t, winner())
	})
}

func TestHedgeHeldReleaseIsNeverNil(t *testing.T) {
	_, release, err := deadline.HedgeHeld(t.Context(), deadline.HedgePolicy{}, func(context.Context, int) (int, error) { return 0, errDown })
	require.Error(t, err)
	release()
}
