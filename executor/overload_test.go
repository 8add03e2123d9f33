package executor_test

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

func TestCallsWaitNoLongerThanMaxWait(t *testing.T) {
	for _, opts := range [][]executor.CallOption{nil, {executor.Inline()}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, executor.Config{Workers: 1, Queue: executor.Unbounded, MaxWait: 2 * time.Second})
			ctx := cancellable(t)
			go executor.Do(ctx, p, sleep(3*time.Second))
			synctest.Wait()
			var calls []<-chan ending[int]
			for range 3 {
				calls = append(calls, background(func() (int, error) { return executor.Do(ctx, p, noop, opts...) }))
				time.Sleep(700 * time.Millisecond)
			}
			f := executor.Submit(ctx, p, noop)
			for i, call := range calls {
				got := <-call
				if i < 2 { // the third has its turn before
					require.Equal(t, ending[int]{0, executor.ErrMaxWait, 2 * time.Second}, got)
					require.ErrorIs(t, got.err, executor.ErrNotStarted)
				} else {
					require.NoError(t, got.err)
				}
			}
			_, err := f.Await(ctx)
			require.NoError(t, err)
			require.Equal(t, executor.Refusals{MaxWait: 2}, p.Stats().Refused)
			require.Equal(t, executor.Stats{Workers: 1}, load(p))
		})
	}
}

// overload sends a pool of 4 workers calls of 4 ms, for two seconds and twice as many as it can run, and returns for how
// long those waited that were accepted in the second half, and what became of the others.
func overload(t *testing.T, cfg executor.Config) (waited []time.Duration, refused map[error]int) {
	const run, workers = 4 * time.Millisecond, 4
	cfg.Workers, cfg.Queue = workers, executor.Unbounded
	p := newPool(t, cfg)
	refused = make(map[error]int)
	type outcome struct {
		waited time.Duration
		err    error
	}
	outcomes := make(chan outcome, 10_000)
	begin := time.Now()
	calls := 0
	for time.Since(begin) < 2*time.Second {
		came := time.Now()
		late := time.Since(begin) >= time.Second
		go func() {
			waited, err := executor.Do(t.Context(), p, func(context.Context) (time.Duration, error) {
				waited := time.Since(came)
				time.Sleep(run)
				return waited, nil
			})
			if late {
				outcomes <- outcome{waited, err}
			}
		}()
		if late {
			calls++
		}
		time.Sleep(run / workers / 2)
	}
	for range calls {
		if o := <-outcomes; o.err != nil {
			refused[o.err]++
		} else {
			waited = append(waited, o.waited)
		}
	}
	slices.Sort(waited)
	return waited, refused
}

func TestCoDelKeepsWaitsNearItsTargetWhereTheyGrowWithoutIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waited, refused := overload(t, executor.Config{})
		require.Empty(t, refused)
		require.Greater(t, waited[len(waited)/2], time.Second) // and longer the longer it lasts
	})
	synctest.Test(t, func(t *testing.T) {
		waited, refused := overload(t, executor.Config{Overload: &executor.CoDel{}})
		require.LessOrEqual(t, waited[len(waited)-1], 5*time.Millisecond)
		require.InDelta(t, 1000, len(waited), 20) // of 2000: no slot is idle
		require.InDelta(t, 1000, refused[executor.ErrShed], 20)
		require.Len(t, refused, 1)
	})
}

func TestInAnOverloadTheLastToComeIsTheFirstToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		now := func() int { return int(time.Since(begin) / time.Millisecond) }
		began, shed := make(map[int]int), make(map[int]int)
		var mu sync.Mutex // guards shed
		p := newPool(t, executor.Config{
			Workers: 1, Queue: executor.Unbounded, MaxWait: 200 * time.Millisecond,
			Overload: &executor.CoDel{Target: 50 * time.Millisecond, Interval: 100 * time.Millisecond},
			Hooks: &executor.Hooks{CallRefused: func(_ context.Context, c executor.CallInfo, err error) {
				mu.Lock()
				defer mu.Unlock()
				require.Equal(t, executor.ErrShed, err)
				shed[now()-int(c.Wait/time.Millisecond)] = now()
			}},
		})
		for _, at := range []int{0, 1, 2, 59, 105, 110, 179, 250, 251, 252} {
			time.Sleep(time.Duration(at-now()) * time.Millisecond)
			executor.Submit(t.Context(), p, func(context.Context) (int, error) {
				began[at] = now()
				time.Sleep(60 * time.Millisecond)
				return 0, nil
			})
		}
		require.NoError(t, p.Drain(t.Context()))
		require.Equal(t, map[int]int{
			0:   0,
			1:   60,  // first come, first served: a moment ago nothing waited
			110: 120, // in an overload, the last to come
			179: 180,
			250: 250, // from 240 on a slot was free
			251: 310,
		}, began)
		require.Equal(t, map[int]int{
			2:   101, // since 1 calls have been waiting, this one for more than 50
			59:  109,
			105: 155,
			252: 351,
		}, shed)
	})
}

func TestBurstsMayWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{
			Workers: 1, Queue: executor.Unbounded, MaxWait: time.Second, Overload: &executor.CoDel{},
		})
		for range 20 { // each time the queue is empty before 100 ms are over
			var calls []*executor.Future[time.Duration]
			for range 9 {
				calls = append(calls, executor.Submit(t.Context(), p, sleep(10*time.Millisecond)))
			}
			for _, call := range calls {
				_, err := call.Await(t.Context())
				require.NoError(t, err)
			}
		}
	})
}

func TestCallsThatWouldNotReturnInTimeAreShedInsteadOfWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: 2, Overload: &executor.CoDel{Target: time.Minute}})
		within := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			_, err := executor.Do(ctx, p, sleep(time.Second))
			return err
		}
		for range 16 { // half of the calls take 3 s
			_, _ = executor.Do(t.Context(), p, sleep(time.Second))
			_, _ = executor.Do(t.Context(), p, sleep(3*time.Second))
		}
		// A free slot is nobody else's loss.
		require.NoError(t, within(2*time.Second))

		go executor.Do(t.Context(), p, sleep(3*time.Second))
		synctest.Wait()
		start := time.Now()
		require.Equal(t, executor.ErrShed, within(2*time.Second))
		require.Zero(t, time.Since(start))
		// There would have been enough time, but when its turn comes that has passed.
		require.Equal(t, executor.ErrShed, within(5*time.Second))
		require.Equal(t, 3*time.Second, time.Since(start))
		require.NoError(t, within(5*time.Second))
		require.Equal(t, executor.Refusals{Shed: 2}, p.Stats().Refused)
	})
}

func TestWaitingCallsAreForgottenWhenTheyLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: 1, MaxWait: time.Hour, Overload: &executor.CoDel{Interval: 2 * time.Hour}})
		go executor.Do(cancellable(t), p, sleep(time.Minute))
		synctest.Wait()
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := executor.Do(ctx, p, never)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, executor.ErrMaxWait)
			cancel()
		}
		_, err := executor.Do(cancellable(t), p, noop)
		require.NoError(t, err)
	})
}

// Calls that wait for a moment and leave, or are started, leave no overload behind.
func TestQueueThatEmptiesIsNoOverload(t *testing.T) {
	for name, before := range map[string]func(t *testing.T, p *executor.Pool){
		"a caller leaves": func(t *testing.T, p *executor.Pool) {
			go executor.Do(t.Context(), p, sleep(20*time.Second))
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			_, err := executor.Do(ctx, p, never)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			time.Sleep(15 * time.Second)
		},
		"all are started": func(t *testing.T, p *executor.Pool) {
			executor.Submit(t.Context(), p, sleep(10*time.Millisecond))
			time.Sleep(2 * time.Millisecond)
			for range 30 { // each waits for 8 ms, and then none does for 2
				executor.Submit(t.Context(), p, sleep(10*time.Millisecond))
				time.Sleep(10 * time.Millisecond)
			}
			go executor.Do(t.Context(), p, sleep(time.Second))
			synctest.Wait()
			time.Sleep(100 * time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, executor.Config{Workers: 1, Queue: 100, Overload: &executor.CoDel{}})
				before(t, p)
				require.Zero(t, p.Stats().Queued)
				require.Equal(t, executor.Refusals{}, p.Stats().Refused)
				start := time.Now()
				_, err := executor.Do(t.Context(), p, never)
				require.Equal(t, executor.ErrShed, err)
				require.Equal(t, 100*time.Millisecond, time.Since(start), "a busy queue for Interval is one")
				require.NoError(t, p.Drain(t.Context()))
			})
		})
	}
}

func TestLongestOfDurationsAreAsGoodAsForever(t *testing.T) {
	const longest = time.Duration(math.MaxInt64)
	for name, cfg := range map[string]executor.Config{
		"Interval": {MaxWait: time.Minute, Overload: &executor.CoDel{Interval: longest}},
		"Target":   {MaxWait: time.Minute, Overload: &executor.CoDel{Target: longest - 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg.Workers = 1
				p := newPool(t, cfg)
				go executor.Do(t.Context(), p, sleep(time.Hour))
				synctest.Wait()
				start := time.Now()
				_, err := executor.Do(t.Context(), p, never)
				require.Equal(t, executor.ErrMaxWait, err)
				require.Equal(t, time.Minute, time.Since(start))
				require.NoError(t, p.Drain(t.Context()))
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, MaxWait: longest - 1})
		go executor.Do(t.Context(), p, sleep(time.Hour))
		synctest.Wait()
		_, err := executor.Do(t.Context(), p, noop)
		require.NoError(t, err)
	})
}
