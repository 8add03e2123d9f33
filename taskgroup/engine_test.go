package taskgroup_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// gauge counts what happens at the same time.
type gauge struct{ now, most, total atomic.Int64 }

func (g *gauge) enter() {
	g.total.Add(1)
	now := g.now.Add(1)
	for {
		most := g.most.Load()
		if now <= most || g.most.CompareAndSwap(most, now) {
			return
		}
	}
}

func (g *gauge) leave() { g.now.Add(-1) }

func TestLimitIsNeverExceeded(t *testing.T) {
	for limit := 1; limit <= 8; limit++ {
		t.Run(fmt.Sprint("limit=", limit), func(t *testing.T) {
			g := taskgroup.New(t.Context(), taskgroup.Limit(limit), taskgroup.KeepGoing(), taskgroup.OnPanic(taskgroup.AsError))
			var load gauge
			var accepted atomic.Int64
			seed := rand.Uint64()
			t.Log("seed", seed)
			var task func(r uint64) func(context.Context) error
			task = func(r uint64) func(context.Context) error {
				return func(context.Context) error {
					load.enter()
					defer load.leave()
					rnd := rand.New(rand.NewPCG(seed, r))
					for range rnd.IntN(3) {
						runtime.Gosched()
					}
					if r > 8 {
						for range 3 {
							if rnd.IntN(2) == 0 {
								accepted.Add(1)
								g.Go(task(r / 2))
							} else if g.TryGo(task(r / 3)) {
								accepted.Add(1)
							}
						}
					}
					switch rnd.IntN(4) {
					case 0:
						goexit()
					case 1:
						panic("boom")
					}
					return nil
				}
			}
			var outside sync.WaitGroup
			for i := range 4 {
				outside.Go(func() {
					for n := range 20 {
						accepted.Add(1)
						g.Go(task(uint64(100*i + n)))
					}
				})
			}
			outside.Wait()
			_ = g.Wait()
			require.LessOrEqual(t, load.most.Load(), int64(limit))
			require.Equal(t, accepted.Load(), load.total.Load(), "every accepted task has run")
		})
	}
}

func TestTasksThatWaitForOneAnotherAllRun(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 1000} {
		for _, opts := range [][]taskgroup.Option{nil, {taskgroup.Limit(n)}} {
			g := taskgroup.New(t.Context(), opts...)
			var barrier sync.WaitGroup
			barrier.Add(n)
			for range n {
				g.Go(func(context.Context) error {
					barrier.Done()
					barrier.Wait()
					return nil
				})
			}
			require.NoError(t, g.Wait())
		}
	}
}

func TestTasksThatWaitForThoseTheyStartAllRun(t *testing.T) {
	g := taskgroup.New(t.Context())
	var ran atomic.Int64
	var tree func(depth int) func(context.Context) error
	tree = func(depth int) func(context.Context) error {
		return func(context.Context) error {
			ran.Add(1)
			if depth == 0 {
				return nil
			}
			var children sync.WaitGroup
			for range 3 {
				children.Add(1)
				child := tree(depth - 1)
				g.Go(func(ctx context.Context) error {
					defer children.Done()
					return child(ctx)
				})
			}
			children.Wait()
			return nil
		}
	}
	g.Go(tree(6))
	require.NoError(t, g.Wait())
	require.Equal(t, int64(1+3+9+27+81+243+729), ran.Load())
}

func TestTasksBehindOnesThatBlockAllRun(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		for range 100 {
			g.Go(after(10*ms, nil))
		}
		require.NoError(t, g.Wait())
		require.Equal(t, 10*ms, now(), "all of them at the same time")
	})
}

func TestTasksMayStartOthersAtTheLimit(t *testing.T) {
	g := taskgroup.New(t.Context(), taskgroup.Limit(1))
	var load gauge
	var tree func(depth int) func(context.Context) error
	tree = func(depth int) func(context.Context) error {
		return func(context.Context) error {
			load.enter()
			defer load.leave()
			if depth > 0 {
				for range 3 {
					g.Go(tree(depth - 1))
				}
			}
			return nil
		}
	}
	g.Go(tree(6))
	require.NoError(t, g.Wait())
	require.Equal(t, int64(1), load.most.Load())
	require.Equal(t, int64(1+3+9+27+81+243+729), load.total.Load())
}

func TestGoMayBeCalledFromManyGoroutines(t *testing.T) {
	for _, opts := range [][]taskgroup.Option{nil, {taskgroup.Limit(2)}} {
		g := taskgroup.New(t.Context(), opts...)
		var ran atomic.Int64
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				for range 200 {
					g.Go(func(context.Context) error {
						ran.Add(1)
						return nil
					})
				}
			})
		}
		callers.Wait()
		require.NoError(t, g.Wait())
		require.Equal(t, int64(16*200), ran.Load())
	}
}

// The queue is filled and emptied to different depths, so that its parts are used in all the ways they can be.
func TestTasksStartInOrderAtLimitOne(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Limit(1))
		var order []int
		n := 0
		for burst := range 120 {
			for range burst {
				i := n
				n++
				g.Go(func(context.Context) error {
					time.Sleep(ms)
					order = append(order, i)
					return nil
				})
			}
			time.Sleep(time.Duration(burst*3/4) * ms) // leaves some in the queue
			if burst%20 == 19 {
				time.Sleep(time.Second) // leaves none
			}
		}
		require.NoError(t, g.Wait())
		require.Len(t, order, n)
		for i, v := range order {
			require.Equal(t, i, v)
		}
	})
}

func TestLimitIsUsedUp(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Limit(4))
		for range 12 {
			g.Go(after(10*ms, nil))
		}
		require.NoError(t, g.Wait())
		require.Equal(t, 30*ms, now())
	})
}

// bubbled counts the goroutines of the bubble that it is called in.
func bubbled() int { return strings.Count(stacks(), "synctest bubble") }

func TestNoGoroutineIsLeftWhenWaitReturned(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		before := bubbled()
		for _, opts := range [][]taskgroup.Option{
			nil, {taskgroup.Limit(3)}, {taskgroup.KeepGoing(), taskgroup.OnPanic(taskgroup.AsError)},
		} {
			g := taskgroup.New(ctx, opts...)
			g.Context().Done()
			for i := range 100 {
				g.Go(after(time.Duration(i)*ms, nil))
				g.Start(taskgroup.Task{Background: true, Func: untilDone})
			}
			g.Go(after(50*ms, errA))
			g.Go(panics(150*ms, "boom"))
			g.Go(panics(150*ms, "boom"))
			g.Go(exits(150 * ms))
			_ = end(g.Wait)
			synctest.Wait() // what has told that it ends has ended
			require.Equal(t, before, bubbled())
		}
	})
}

func TestBurstOfShortTasksIsRunByAFewGoroutines(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Limit(4))
		before := bubbled()
		g.Go(after(ms, nil))
		for range 10_000 {
			g.Go(after(0, nil))
		}
		require.LessOrEqual(t, bubbled(), before+4)
		require.NoError(t, g.Wait())
	})
}

type ballast [1 << 10]byte

func TestTaskIsNotKeptAliveWhenItHasRun(t *testing.T) {
	for _, limit := range []int{1, 3, taskgroup.Unlimited} {
		t.Run(fmt.Sprint("limit=", limit), func(t *testing.T) {
			g := taskgroup.New(t.Context(), taskgroup.Limit(limit))
			var kept []weak.Pointer[ballast]
			var ran sync.WaitGroup
			for i := range 200 {
				b := new(ballast)
				kept = append(kept, weak.Make(b))
				ran.Add(1)
				t := taskgroup.Task{Func: func(context.Context) error {
					defer ran.Done()
					b[0]++
					return nil
				}}
				if i%2 == 0 {
					t.Name = "named"
				}
				g.Start(t)
			}
			ran.Wait()
			requireCollected(t, kept)
			release := make(chan struct{})
			g.Go(func(context.Context) error { // what a worker has run before it must go, too
				<-release
				return nil
			})
			require.False(t, isClosed(g.Done()))
			close(release)
			require.NoError(t, g.Wait())
		})
	}
}

func TestTaskThatWasSkippedIsNotKeptAlive(t *testing.T) {
	g := taskgroup.New(t.Context(), taskgroup.Limit(1))
	release := make(chan struct{})
	g.Go(func(context.Context) error {
		<-release
		return nil
	})
	var kept []weak.Pointer[ballast]
	for range 100 {
		b := new(ballast)
		kept = append(kept, weak.Make(b))
		g.Go(func(context.Context) error {
			b[0]++
			return nil
		})
	}
	g.Cancel(nil)
	requireCollected(t, kept)
	close(release)
	require.NoError(t, g.Wait())
}

// Everything at once, without an order: the result has to add up.
func TestCountsAddUpUnderConcurrency(t *testing.T) {
	for round := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		limit := []int{1, 2, 5, taskgroup.Unlimited}[round%4]
		g := taskgroup.New(ctx, taskgroup.Limit(limit), taskgroup.MaxErrors(3))
		var given, succeeded, failures, echoes atomic.Int64
		start := func(i int) {
			given.Add(1)
			g.Go(func(ctx context.Context) error {
				switch {
				case i%10 == 9:
					failures.Add(1)
					return fmt.Errorf("failure %d", i)
				case ctx.Err() != nil:
					echoes.Add(1)
					return ctx.Err()
				default:
					succeeded.Add(1)
					return nil
				}
			})
		}
		var outside sync.WaitGroup
		for range 3 {
			outside.Go(func() {
				for i := range 20 {
					start(i)
				}
			})
		}
		if round%3 == 0 {
			outside.Go(cancel)
		}
		if round%3 == 1 {
			outside.Go(func() { g.Cancel(errA) })
		}
		outside.Wait()
		err := g.Wait()
		cancel()
		if err == nil {
			require.Equal(t, given.Load(), succeeded.Load())
			continue
		}
		e := failed(t, err)
		require.Equal(t, failures.Load(), int64(len(e.Tasks)+e.Dropped))
		require.LessOrEqual(t, len(e.Tasks), 3)
		require.Equal(t, echoes.Load(), int64(e.Canceled))
		require.Equal(t, given.Load(), succeeded.Load()+failures.Load()+echoes.Load()+int64(e.Skipped))
		require.Error(t, g.Context().Err())
	}
}
