package bench_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/bench"
)

const limit = 16

// forEach runs f in a bubble for each implementation that starts tasks, which is made in that bubble.
func forEach(t *testing.T, f func(t *testing.T, s bench.Spawn)) {
	t.Helper()
	for _, p := range bench.Spawners() {
		run(t, "spawn/"+p.Name, func(t *testing.T) { f(t, p.Do) })
	}
	for _, p := range bench.Limiters() {
		run(t, "limit/"+p.Name, func(t *testing.T) {
			s, release := p.Do(limit)
			defer release()
			f(t, s)
		})
	}
	for _, p := range bench.ForEachs() {
		run(t, "foreach/"+p.Name, func(t *testing.T) {
			loop := p.Do(limit)
			f(t, func(ctx context.Context, n int, task bench.Task) error {
				return loop(ctx, items(n), func(ctx context.Context, _ int) error { return task(ctx) })
			})
		})
	}
	forEachMap(t, func(t *testing.T, m bench.Map) {
		f(t, func(ctx context.Context, n int, task bench.Task) error {
			_, err := m(ctx, items(n), func(ctx context.Context, _ int) (int, error) { return 0, task(ctx) })
			return err
		})
	})
}

// forEachMap is forEach for the implementations that have results.
func forEachMap(t *testing.T, f func(t *testing.T, m bench.Map)) {
	t.Helper()
	for _, p := range bench.Maps() {
		run(t, "map/"+p.Name, func(t *testing.T) { f(t, p.Do(limit)) })
	}
	for _, p := range bench.Streams() {
		run(t, "stream/"+p.Name, func(t *testing.T) { f(t, collect(p.Do(limit))) })
	}
	for _, p := range bench.OrderedStreams() {
		run(t, "ordered/"+p.Name, func(t *testing.T) { f(t, collect(p.Do(limit))) })
	}
}

// collect makes a Map of a Stream. That each is called once at a time is for the race detector to see.
func collect(s bench.Stream) bench.Map {
	return func(ctx context.Context, in []int, f bench.Call) ([]int, error) {
		var results []int
		err := s(ctx, in, f, func(r int) { results = append(results, r) })
		return results, err
	}
}

// run runs f in a bubble. Conc keeps channels in a sync.Pool, from which they would get into the next bubble and kill the
// process; two collections empty it.
func run(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		runtime.GC()
		runtime.GC()
		synctest.Test(t, f)
	})
}

func items(n int) []int {
	in := make([]int, n)
	for i := range in {
		in[i] = i
	}
	return in
}

func TestEveryoneJoinsAllTasks(t *testing.T) {
	forEach(t, func(t *testing.T, s bench.Spawn) {
		for _, n := range []int{0, 1, 3, 1000} {
			var ran atomic.Int64
			require.NoError(t, s(t.Context(), n, func(ctx context.Context) error {
				ran.Add(1)
				return ctx.Err()
			}))
			require.Equal(t, int64(n), ran.Load())
		}
	})
}

func TestEveryoneReturnsTheFirstFailureAndCancelsTheRest(t *testing.T) {
	forEach(t, func(t *testing.T, s bench.Spawn) {
		failure := errors.New("failure")
		var started, canceled atomic.Int64
		err := s(t.Context(), 3, func(ctx context.Context) error {
			if started.Add(1) == 3 {
				return failure
			}
			<-ctx.Done()
			canceled.Add(1)
			return ctx.Err()
		})
		require.ErrorIs(t, err, failure)
		require.NotErrorIs(t, err, context.Canceled)
		require.Equal(t, int64(2), canceled.Load())
	})
}

func TestEveryoneLimitsWhatItSaysItLimits(t *testing.T) {
	forEach(t, func(t *testing.T, s bench.Spawn) {
		n, want := int64(100), int64(limit)
		if strings.Contains(t.Name(), "spawn/") {
			want = n
		}
		var running atomic.Int64
		gate, joined := make(chan struct{}), make(chan error)
		go func() {
			joined <- s(t.Context(), int(n), func(context.Context) error {
				running.Add(1)
				<-gate
				return nil
			})
		}()
		synctest.Wait()
		atOnce := running.Load()
		close(gate)
		require.NoError(t, <-joined)
		require.Equal(t, want, atOnce)
		require.Equal(t, n, running.Load())
	})
}

func TestEveryoneObeysTheCallersContext(t *testing.T) {
	forEach(t, func(t *testing.T, s bench.Spawn) {
		ctx, cancel := context.WithCancel(t.Context())
		require.ErrorIs(t, s(ctx, 1, func(ctx context.Context) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}), context.Canceled)
	})
}

func TestEveryoneReturnsAllResultsInOrder(t *testing.T) {
	forEachMap(t, func(t *testing.T, m bench.Map) {
		for _, n := range []int{0, 1, 3, 100} {
			want := make([]int, n)
			for i := range want {
				want[i] = i * i
			}
			// The first items take longest, so that calls end in the opposite order within the limit.
			got, err := m(t.Context(), items(n), func(_ context.Context, item int) (int, error) {
				time.Sleep(time.Duration(n-item) * time.Second)
				return item * item, nil
			})
			require.NoError(t, err)
			if strings.Contains(t.Name(), "/stream/") {
				slices.Sort(got) // as they came
			}
			require.True(t, slices.Equal(want, got), "%v", got)
		}
	})
}

func TestEveryoneReturnsTheFirstResultWhenTheLosersHaveEnded(t *testing.T) {
	for _, p := range bench.Firsts() {
		run(t, p.Name, func(t *testing.T) {
			var canceled atomic.Int64
			loser := func(ctx context.Context) (int, error) {
				<-ctx.Done()
				canceled.Add(1)
				return 0, ctx.Err()
			}
			failing := func(context.Context) (int, error) { return 0, errors.New("failure") }
			value, err := p.Do(t.Context(), []func(context.Context) (int, error){
				failing, loser, loser, func(context.Context) (int, error) {
					time.Sleep(time.Second)
					return 7, nil
				},
			})
			require.NoError(t, err)
			require.Equal(t, 7, value)
			require.Equal(t, int64(2), canceled.Load())
		})
	}
}

func TestEveryoneReturnsAllErrorsOfARaceThatNobodyWins(t *testing.T) {
	for _, p := range bench.Firsts() {
		run(t, p.Name, func(t *testing.T) {
			one, two := errors.New("one"), errors.New("two")
			_, err := p.Do(t.Context(), []func(context.Context) (int, error){
				func(context.Context) (int, error) { return 0, one },
				func(context.Context) (int, error) { return 0, two },
			})
			require.ErrorIs(t, err, one)
			require.ErrorIs(t, err, two)
		})
	}
}

func TestEveryoneCoalescesCallsAndKeepsTheLoadWhenItsFirstCallerLeaves(t *testing.T) {
	for _, p := range bench.Coalescers() {
		run(t, p.Name, func(t *testing.T) {
			c := p.Do(0)
			var loads atomic.Int64
			load := func(ctx context.Context) (int, error) {
				loads.Add(1)
				time.Sleep(time.Second)
				return 7, ctx.Err()
			}
			first, cancel := context.WithCancel(t.Context())
			go func() { _, _ = c(first, "key", load) }()
			synctest.Wait()
			results := make(chan int)
			for range 3 {
				go func() {
					v, err := c(t.Context(), "key", load)
					if err == nil {
						results <- v
					}
				}()
			}
			synctest.Wait()
			cancel()
			for range 3 {
				require.Equal(t, 7, <-results)
			}
			require.Equal(t, int64(1), loads.Load())
		})
	}
}

func TestEveryoneEndsALoadAtItsTimeout(t *testing.T) {
	for _, p := range bench.Coalescers() {
		run(t, p.Name, func(t *testing.T) {
			start := time.Now()
			_, err := p.Do(time.Second)(t.Context(), "key", func(ctx context.Context) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(start))
		})
	}
}

func TestEveryoneCallsWithinTheLimitAndReturnsWhatTheCallReturns(t *testing.T) {
	for _, p := range append(bench.Leavers(), bench.Stayers()...) {
		run(t, p.Name, func(t *testing.T) {
			const workers, calls = 4, 12
			call, release := p.Do(workers)
			defer release()
			failure := errors.New("failure")
			var running, most atomic.Int64
			errs := make(chan error)
			for i := range calls {
				go func() {
					_, err := call(t.Context(), func(context.Context) (int, error) {
						now := running.Add(1)
						most.Store(max(most.Load(), now))
						time.Sleep(time.Second)
						running.Add(-1)
						if i == 0 {
							return 0, failure
						}
						return 7, nil
					})
					errs <- err
				}()
			}
			failed := 0
			for range calls {
				if err := <-errs; err != nil {
					require.ErrorIs(t, err, failure)
					failed++
				}
			}
			require.Equal(t, 1, failed)
			want := int64(workers)
			if p.Name == "go" || p.Name == "go.stay" {
				want = calls
			}
			require.LessOrEqual(t, most.Load(), want)
		})
	}
}

func TestCasesHaveGroveFirstAndTargetsThatAreMeasured(t *testing.T) {
	names := make(map[string]bool)
	for _, c := range bench.Cases() {
		require.False(t, names[c.Name], c.Name)
		names[c.Name] = true
		require.Equal(t, bench.Grove, c.Impls[0].Name)
		impls := make(map[string]bool)
		for _, impl := range c.Impls[1:] {
			impls[impl.Name] = true
			require.Contains(t, bench.Peers, impl.Name)
		}
		for _, target := range c.Targets {
			require.True(t, impls[target.Impl], "%s has a target for %s", c.Name, target.Impl)
			require.Positive(t, target.Max, "%s has no bound for %s", c.Name, target.Impl)
		}
	}
}
