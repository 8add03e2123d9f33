package executor_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

func TestResizeStartsWaitingCallsOrLetsRunningOnesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: executor.Unbounded})
		ctx := cancellable(t)
		for range 5 {
			executor.Submit(ctx, p, sleep(time.Second))
		}
		inline := background(func() (time.Duration, error) { return executor.Do(context.Background(), p, sleep(time.Second)) })
		require.Equal(t, executor.Stats{Workers: 1, Running: 1, Queued: 5}, load(p))
		p.Resize(4)
		require.Equal(t, executor.Stats{Workers: 4, Running: 4, Queued: 2}, load(p))
		p.Resize(2)
		require.Equal(t, executor.Stats{Workers: 2, Running: 4, Queued: 2}, load(p))
		time.Sleep(1500 * time.Millisecond)
		require.Equal(t, executor.Stats{Workers: 2, Running: 2, Oldest: 500 * time.Millisecond}, load(p))
		require.Equal(t, ending[time.Duration]{time.Second, nil, 2 * time.Second}, <-inline)
	})
}

func TestResizeEndsWorkersThatAreTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 4})
		before := goroutines()
		for range 4 {
			executor.Submit(t.Context(), p, sleep(time.Second))
		}
		time.Sleep(2 * time.Second)
		require.Equal(t, before+4, goroutines())
		p.Resize(1)
		synctest.Wait()
		require.Equal(t, before+1, goroutines())
	})
}

func TestResizeChangesTheQueueThatIsAsLongAsThereAreWorkers(t *testing.T) {
	p := newPool(t, executor.Config{Workers: 2})
	require.Equal(t, 2, p.Stats().Queue)
	p.Resize(5)
	require.Equal(t, 5, p.Stats().Queue)
	fixed := newPool(t, executor.Config{Workers: 2, Queue: 3})
	fixed.Resize(5)
	require.Equal(t, 3, fixed.Stats().Queue)
	require.PanicsWithValue(t, "executor: Resize called with 0, want at least 1", func() { p.Resize(0) })
}

// limiter is a Limiter that does as it is told.
type limiter struct {
	mu      sync.Mutex
	next    float64
	samples []executor.Sample
}

func (l *limiter) Next(s executor.Sample) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, s)
	return l.next
}

// say makes next the answer.
func (l *limiter) say(next float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = next
}

func TestLimiterIsAskedAfterEachCallAndObeyedWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limiter{next: 1.6}
		p := newPool(t, executor.Config{Workers: 4, Queue: executor.Unbounded, Limiter: l})
		require.Equal(t, 4, p.Stats().Limit)
		run := func(opts ...executor.CallOption) {
			_, err := executor.Do(t.Context(), p, func(ctx context.Context) (int, error) {
				time.Sleep(time.Second)
				return executor.Do(ctx, p, noop) // has no slot of its own
			}, opts...)
			require.NoError(t, err)
		}
		run()
		run(executor.Inline())
		require.Equal(t, []executor.Sample{
			{Limit: 4, Running: 1, Run: time.Second},
			{Limit: 1.6, Running: 1, Run: time.Second},
		}, l.samples)
		for next, want := range map[float64]int{1.6: 2, 1.4: 1, 0: 1, -5: 1, 3: 3, 99: 4, math.Inf(1): 4, math.NaN(): 4} {
			l.say(next)
			if math.IsNaN(next) {
				l.say(math.Inf(1))
				run()
				l.say(next) // no answer: nothing changes
			}
			run()
			require.Equal(t, want, p.Stats().Limit)
		}

		l.say(1)
		run()
		var calls []*executor.Future[time.Duration]
		for range 4 {
			calls = append(calls, executor.Submit(t.Context(), p, sleep(time.Second)))
		}
		require.Equal(t, executor.Stats{Workers: 4, Running: 1, Queued: 3}, load(p))
		l.say(3)
		time.Sleep(1500 * time.Millisecond)
		require.Equal(t, executor.Stats{Workers: 4, Running: 3, Oldest: 500 * time.Millisecond}, load(p))
		p.Resize(2)
		require.Equal(t, 2, p.Stats().Limit)
		for _, call := range calls {
			_, err := call.Await(t.Context())
			require.NoError(t, err)
		}
	})
}

func TestLimiterIsToldOfAbandonedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limiter{next: 1}
		p := newPool(t, executor.Config{Workers: 1, Limiter: l})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := executor.Do(ctx, p, sleep(time.Minute))
		require.Error(t, err)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []executor.Sample{{Limit: 1, Running: 1, Run: time.Minute, Abandoned: true}}, l.samples)
	})
}

// settle plays calls that keep a limiter busy against a service whose calls take 10 ms each up to capacity at a time, and
// longer in proportion beyond it, and returns the mean of the limits after each of the last calls.
func settle(l executor.Limiter, capacity float64) float64 {
	const (
		calls = 60_000
		base  = 10 * time.Millisecond
	)
	limit, sum := 100.0, 0.0
	for i := range calls {
		running := math.Round(limit)
		run := time.Duration(float64(base) * max(1, running/capacity))
		limit = max(1, min(100, l.Next(executor.Sample{Limit: limit, Running: int(running), Run: run})))
		if i >= calls/2 {
			sum += limit
		}
	}
	return sum / (calls / 2)
}

func TestAIMDFindsTheLimitAtWhichCallsTakeTooLong(t *testing.T) {
	require.InDelta(t, 19, settle(executor.AIMD(20*time.Millisecond), 10), 2)
	require.InDelta(t, 100, settle(executor.AIMD(time.Second), 10), 1)
	require.InDelta(t, 1, settle(executor.AIMD(time.Millisecond), 10), 0.1)
}

func TestGradientFindsTheLimitAtWhichCallsBecomeSlower(t *testing.T) {
	require.InDelta(t, 20, settle(executor.Gradient(), 10), 3)
	require.InDelta(t, 97, settle(executor.Gradient(), 1000), 3) // it halves the limit now and then
}

func TestLimitersDoNotGrowWhatIsNotUsed(t *testing.T) {
	late := lateness(0)
	for name, l := range map[string]executor.Limiter{
		"AIMD": executor.AIMD(time.Second), "Gradient": executor.Gradient(), "SchedLatency": executor.SchedLatency(&late, time.Second),
	} {
		require.Equal(t, 10.0, l.Next(executor.Sample{Limit: 10, Running: 4, Run: time.Millisecond}), name)
	}
}

// lateness is a source for SchedLatency.
type lateness time.Duration

func (l *lateness) Overdue() time.Duration { return time.Duration(*l) }

func TestSchedLatencyShrinksThePoolWhileTheSchedulerIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := lateness(2 * time.Millisecond)
		p := newPool(t, executor.Config{
			Workers: 8, Queue: executor.Unbounded, Limiter: executor.SchedLatency(&late, time.Millisecond),
		})
		busy := func(calls int) {
			var futures []*executor.Future[time.Duration]
			for range calls {
				futures = append(futures, executor.Submit(t.Context(), p, sleep(time.Second)))
			}
			for _, f := range futures {
				_, err := f.Await(t.Context())
				require.NoError(t, err)
			}
		}
		busy(200)
		require.Equal(t, 1, p.Stats().Limit)
		late = 0
		busy(1000)
		require.Equal(t, 8, p.Stats().Limit)
	})
}

func TestLimitersWithoutATargetOrASourcePanic(t *testing.T) {
	require.PanicsWithValue(t, "executor: AIMD called with latency 0s, want more than 0", func() { executor.AIMD(0) })
	require.PanicsWithValue(t, "executor: SchedLatency called with target 0s, want more than 0", func() {
		executor.SchedLatency(nil, 0)
	})
	require.PanicsWithValue(t, "executor: SchedLatency called with a nil source", func() {
		executor.SchedLatency(nil, time.Millisecond)
	})
}

func TestConcurrentCallsKeepAllLimits(t *testing.T) {
	const workers, perKey, callers, calls = 5, 2, 16, 300
	var ended, refused atomic.Int64
	p := newPool(t, executor.Config{
		Workers: workers, Queue: 8, PerKey: perKey, MaxWait: time.Millisecond,
		Overload: &executor.CoDel{Target: 50 * time.Microsecond, Interval: 200 * time.Microsecond},
		Limiter:  executor.Gradient(), StuckAfter: 500 * time.Microsecond, OnStuck: func(executor.Running) {},
		Hooks: &executor.Hooks{
			CallEnded:   func(context.Context, executor.CallInfo, error) { ended.Add(1) },
			CallRefused: func(context.Context, executor.CallInfo, error) { refused.Add(1) },
		},
	})
	var running [4]atomic.Int64 // by key, the first without one
	var all, started atomic.Int64
	var tooMany atomic.Bool
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			for n := range calls {
				key := (i + n) % len(running)
				opts := []executor.CallOption{executor.Priority(executor.Level(n%3 - 1))}
				if key > 0 {
					opts = append(opts, executor.Key(strconv.Itoa(key)))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%7)*time.Millisecond)
				f := func(context.Context) (int, error) {
					started.Add(1)
					if all.Add(1) > workers || running[key].Add(1) > perKey && key > 0 {
						tooMany.Store(true)
					}
					runtime.Gosched()
					all.Add(-1)
					running[key].Add(-1)
					return 0, nil
				}
				switch n % 5 {
				case 0:
					_, _ = executor.Do(ctx, p, f, append(opts, executor.Inline())...)
				case 1:
					_, _ = executor.Submit(ctx, p, f, opts...).Await(t.Context())
				case 2:
					_, _ = executor.Do(ctx, p, func(ctx context.Context) (int, error) {
						return executor.Do(ctx, p, func(context.Context) (int, error) { panic(errCause) })
					}, opts...)
				default:
					_, _ = executor.Do(ctx, p, f, opts...)
				}
				cancel()
				if i == 0 {
					p.Resize(1 + n%workers)
				}
			}
		})
	}
	group.Wait()
	require.False(t, tooMany.Load())
	require.NoError(t, p.Drain(t.Context()))
	stats := load(p)
	require.Equal(t, executor.Stats{Workers: stats.Workers}, stats)
	require.GreaterOrEqual(t, ended.Load()+refused.Load(), int64(callers*calls))
	require.Positive(t, started.Load())
}

// brokenLimiter has a bug that shows once.
type brokenLimiter struct{ calls int }

func (l *brokenLimiter) Next(s executor.Sample) float64 {
	if l.calls++; l.calls == 1 {
		panic("bug")
	}
	return s.Limit
}

func TestPanicOfALimiterIsNobodysToCatch(t *testing.T) {
	const child = "GROVE_EXECUTOR_CHILD"
	if os.Getenv(child) != "" {
		p := newPool(t, executor.Config{Workers: 1, Limiter: new(brokenLimiter)})
		_, err := executor.Do(cancellable(t), p, func(ctx context.Context) (int, error) {
			ctx.Done() // with a cancel context of its own, the call could be ended twice
			return 1, nil
		})
		fmt.Println("survived:", err)
		return
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), child+"=1")
	output, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(output), "panic: bug")
	require.NotContains(t, string(output), "survived")
}
