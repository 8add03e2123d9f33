package executor_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

// order submits calls that take a second each and say their names when they start, in the order of the calls, while the
// pool is held up, and returns the names in the order in which the calls started.
func order(t *testing.T, p *executor.Pool, calls []string, opts func(name string) []executor.CallOption) (started []string) {
	t.Helper()
	hold := make(chan struct{})
	for range p.Stats().Workers {
		executor.Submit(t.Context(), p, func(context.Context) (int, error) { <-hold; return 0, nil })
	}
	synctest.Wait()
	var futures []*executor.Future[int]
	for _, name := range calls {
		futures = append(futures, executor.Submit(t.Context(), p, func(context.Context) (int, error) {
			started = append(started, name)
			time.Sleep(time.Second)
			return 0, nil
		}, opts(name)...))
		synctest.Wait()
	}
	close(hold)
	for _, f := range futures {
		_, err := f.Await(t.Context())
		require.NoError(t, err)
	}
	return started
}

// keyed makes the first letter of a name its key, if that is no digit.
func keyed(name string) []executor.CallOption {
	if name[0] <= '9' {
		return nil
	}
	return []executor.CallOption{executor.Key(name[:1])}
}

func TestKeysTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: executor.Unbounded})
		require.Equal(t, []string{"a1", "b1", "1", "c1", "a2", "b2", "2", "a3", "b3", "3", "a4"},
			order(t, p, []string{"a1", "a2", "a3", "a4", "b1", "b2", "b3", "1", "2", "3", "c1"}, keyed))
	})
}

func TestOneBusyTenantDoesNotStarveTheOthers(t *testing.T) {
	const busy, others, workers = 10_000, 9, 4
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: workers, Queue: executor.Unbounded})
		start := time.Now()
		tenant := func(i int) *executor.Future[time.Duration] {
			return executor.Submit(t.Context(), p, func(context.Context) (time.Duration, error) {
				waited := time.Since(start)
				time.Sleep(time.Second)
				return waited, nil
			}, executor.Key(fmt.Sprint(i)))
		}
		first := make([]*executor.Future[time.Duration], busy)
		for i := range first {
			first[i] = tenant(0)
		}
		var rest []*executor.Future[time.Duration]
		for i := range others {
			rest = append(rest, tenant(i+1))
		}
		// A round has one call of each of the ten, after the four that run already.
		for _, f := range rest {
			waited, err := f.Await(t.Context())
			require.NoError(t, err)
			require.LessOrEqual(t, waited, (others+1)*time.Second/workers+time.Second)
		}
		waited, err := first[busy-1].Await(t.Context())
		require.NoError(t, err)
		require.Equal(t, (busy+others-1)/workers*time.Second, waited)
	})
}

func TestPerKeyCapsTheRunningCallsOfAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 3, Queue: executor.Unbounded, PerKey: 1})
		start := time.Now()
		submit := func(opts ...executor.CallOption) func() time.Duration {
			f := executor.Submit(t.Context(), p, func(context.Context) (time.Duration, error) {
				began := time.Since(start)
				time.Sleep(time.Second)
				return began, nil
			}, opts...)
			return func() time.Duration {
				began, err := f.Await(t.Context())
				require.NoError(t, err)
				return began
			}
		}
		var began []func() time.Duration
		for range 3 {
			began = append(began, submit(executor.Key("a")))
		}
		// There are free slots, yet a waits for itself; others do not wait for it, and calls without a key are not capped.
		synctest.Wait()
		require.Equal(t, executor.Stats{Workers: 3, Running: 1, Queued: 2}, load(p))
		_, err := executor.Do(t.Context(), p, never, executor.Key("a"), executor.NoWait())
		require.Equal(t, executor.ErrQueueFull, err)
		b, free := submit(executor.Key("b")), submit()
		require.Zero(t, b())
		require.Zero(t, free())
		for i, when := range began {
			require.Equal(t, time.Duration(i)*time.Second, when())
		}
		synctest.Wait()
		require.Equal(t, executor.Stats{Workers: 3}, load(p))
	})
}

func TestDrainEndsCallsOfAKeyThatWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 3, Queue: executor.Unbounded, PerKey: 1})
		for range 5 {
			executor.Submit(t.Context(), p, sleep(time.Second), executor.Key("a"))
		}
		start := time.Now()
		require.NoError(t, p.Drain(t.Context()))
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

// prioritized makes the first letter of a name its priority.
func prioritized(name string) []executor.CallOption {
	switch name[0] {
	case 'h':
		return []executor.CallOption{executor.Priority(executor.High)}
	case 'l':
		return []executor.CallOption{executor.Priority(executor.Low)}
	default:
		return nil
	}
}

func TestHigherPrioritiesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: executor.Unbounded})
		require.Equal(t, []string{"h1", "h2", "n1", "n2", "l1", "l2"},
			order(t, p, []string{"l1", "n1", "h1", "l2", "n2", "h2"}, prioritized))
	})
}

func TestLowerPrioritiesHaveATurnAfterSixteenOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, executor.Config{Workers: 1, Queue: executor.Unbounded})
		calls := []string{"l1", "n1"}
		for i := range 40 {
			calls = append(calls, fmt.Sprintf("h%d", i))
		}
		started := order(t, p, calls, prioritized)
		require.Equal(t, "n1", started[16])
		require.Equal(t, "l1", started[17])
	})
}

func TestPriorityOutOfBoundsPanics(t *testing.T) {
	require.PanicsWithValue(t, "executor: Priority called with 2, want Low, Normal or High", func() { executor.Priority(2) })
	require.PanicsWithValue(t, "executor: Priority called with -2, want Low, Normal or High", func() { executor.Priority(-2) })
}

func TestTheLastOptionCounts(t *testing.T) {
	var got executor.CallInfo
	hooks := &executor.Hooks{CallEnded: func(_ context.Context, c executor.CallInfo, _ error) { got = c }}
	p := newPool(t, executor.Config{Workers: 1, Hooks: hooks})
	_, err := executor.Do(t.Context(), p, noop, executor.Priority(executor.High), executor.Key("a"), executor.Name("x"),
		executor.Priority(executor.Normal), executor.Key("b"), executor.Name("y"))
	require.NoError(t, err)
	require.Equal(t, executor.CallInfo{Name: "y", Key: "b", Priority: executor.Normal, Wait: got.Wait, Run: got.Run}, got)
}

// fullQueue is a pool with one call that runs and calls that wait, submitted in this order.
func fullQueue(t *testing.T, calls []string, opts func(string) []executor.CallOption) (*executor.Pool, map[string]*executor.Future[int]) {
	p := newPool(t, executor.Config{Workers: 1, Queue: len(calls)})
	executor.Submit(t.Context(), p, sleep(time.Minute))
	futures := make(map[string]*executor.Future[int])
	for _, name := range calls {
		futures[name] = executor.Submit(t.Context(), p, noop, opts(name)...)
		time.Sleep(time.Millisecond)
	}
	return p, futures
}

func TestAFullQueueMakesRoomForWhoHasLessInIt(t *testing.T) {
	for _, tt := range []struct {
		queue      []string
		call, shed string
		opts       func(string) []executor.CallOption
		comment    string
	}{
		{queue: []string{"a1", "a2", "a3", "b1"}, call: "c1", shed: "a3", opts: keyed, comment: "the last of the longest"},
		{queue: []string{"a1", "a2", "b1", "b2"}, call: "c1", shed: "b2", opts: keyed, comment: "the last of all that are as long"},
		{queue: []string{"1", "2", "3", "b1"}, call: "c1", shed: "3", opts: keyed, comment: "calls without a key are one"},
		{queue: []string{"a1", "a2", "b1"}, call: "b2", opts: keyed, comment: "that would only swap them"},
		{queue: []string{"a1", "b1", "c1"}, call: "d1", opts: keyed, comment: "nobody has more than one"},
		{queue: []string{"a1", "b1", "b2"}, call: "b3", opts: keyed, comment: "the longest is its own"},
		{queue: []string{"n1", "l1", "h1", "l2"}, call: "n2", shed: "l2", opts: prioritized, comment: "lower levels first"},
		{queue: []string{"n1", "h1"}, call: "h2", shed: "n1", opts: prioritized},
		{queue: []string{"h1", "h2"}, call: "n1", opts: prioritized},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, futures := fullQueue(t, tt.queue, tt.opts)
			before := p.Stats().Queued
			futures[tt.call] = executor.Submit(t.Context(), p, noop, tt.opts(tt.call)...)
			require.Equal(t, before, p.Stats().Queued)
			for name, f := range futures {
				_, err := f.Await(t.Context())
				switch {
				case name == tt.shed:
					require.Equal(t, executor.ErrShed, err, tt.comment)
					require.ErrorIs(t, err, executor.ErrNotStarted)
				case name == tt.call && tt.shed == "":
					require.Equal(t, executor.ErrQueueFull, err, tt.comment)
				default:
					require.NoError(t, err, "%s: %s", name, tt.comment)
				}
			}
		})
	}
}

func TestKeysWithoutCallsTakeNoMemory(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	p := newPool(t, executor.Config{Workers: 1, Queue: executor.Unbounded})
	ctx := context.Background() // one that can end would remember that it has had many calls
	release := make(chan struct{})
	before := heap()
	func() {
		calls := []*executor.Future[int]{
			executor.Submit(ctx, p, func(context.Context) (int, error) { return stuckForever(release) }),
		}
		for i := range 20_000 {
			calls = append(calls, executor.Submit(ctx, p, noop, executor.Key(fmt.Sprint(i))))
		}
		require.Greater(t, heap()-before, int64(4<<20)) // with the calls
		close(release)
		for _, call := range calls {
			_, err := call.Await(ctx)
			require.NoError(t, err)
		}
	}()
	require.Less(t, heap()-before, int64(300<<10))
	runtime.KeepAlive(p)
}
