package taskgroup_test

import (
	"context"
	"errors"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

const ms = time.Millisecond

var (
	errA = errors.New("a failed")
	errB = errors.New("b failed")
)

// bubble runs f with a fake clock and a function that tells how much time has passed.
func bubble(t *testing.T, f func(t *testing.T, ctx context.Context, now func() time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		f(t, t.Context(), func() time.Duration { return time.Since(start) })
	})
}

// after is a task that takes d, whatever becomes of its context, and returns err.
func after(d time.Duration, err error) func(context.Context) error {
	return func(context.Context) error {
		time.Sleep(d)
		return err
	}
}

// untilDone is a task that does nothing but wait for the end of its context.
func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// ending is how a call ended: it returned, or panicked, or left in runtime.Goexit.
type ending struct {
	err      error
	panicked any
	goexit   bool
}

// end calls f in a goroutine of its own, which f may end.
func end(f func() error) (e ending) {
	var wg sync.WaitGroup
	wg.Go(func() {
		returned := false
		defer func() {
			if !returned {
				e.panicked = recover()
				e.goexit = e.panicked == nil
			}
		}()
		e.err = f()
		returned = true
	})
	wg.Wait()
	return e
}

// failed is err, which must be an *Error itself and not wrap one.
func failed(t *testing.T, err error) *taskgroup.Error {
	t.Helper()
	var e *taskgroup.Error
	require.ErrorAs(t, err, &e)
	require.Same(t, e, err)
	return e
}

// errorsOf lists what the tasks of e failed with.
func errorsOf(e *taskgroup.Error) []error {
	var errs []error
	for _, task := range e.Tasks {
		errs = append(errs, task.Err)
	}
	return errs
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// brood starts tasks that start others, the last of which ends after 50 ms, and counts those that live.
func brood(g *taskgroup.Group, live *atomic.Int32) {
	for range 3 {
		live.Add(1)
		g.Go(func(context.Context) error {
			defer live.Add(-1)
			time.Sleep(20 * ms)
			live.Add(1)
			g.Go(func(context.Context) error {
				defer live.Add(-1)
				time.Sleep(30 * ms)
				return nil
			})
			return nil
		})
	}
}

func TestNothingOutlivesRun(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var live atomic.Int32
		require.NoError(t, taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			brood(g, &live)
			return nil
		}))
		require.Equal(t, 50*ms, now())
		require.Zero(t, live.Load())
	})
}

func TestNothingOutlivesWait(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var live atomic.Int32
		g := taskgroup.New(ctx)
		brood(g, &live)
		require.NoError(t, g.Wait())
		require.Equal(t, 50*ms, now())
		require.Zero(t, live.Load())
	})
}

func TestNothingOutlivesStop(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var live atomic.Int32
		g := taskgroup.New(ctx)
		brood(g, &live)
		time.Sleep(20 * ms)
		synctest.Wait() // the tasks have started those that they start
		require.NoError(t, g.Stop())
		require.Equal(t, 50*ms, now(), "tasks that take no notice are waited for")
		require.Zero(t, live.Load())
	})
}

func TestNothingOutlivesABodyThatPanics(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var live atomic.Int32
		require.PanicsWithValue(t, "body", func() {
			_ = taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				brood(g, &live)
				time.Sleep(20 * ms)
				synctest.Wait()
				panic("body")
			})
		})
		require.Equal(t, 50*ms, now())
		require.Zero(t, live.Load())
	})
}

func TestDoneClosesWhenTheGroupHasBeenJoined(t *testing.T) {
	for name, join := range map[string]func(*taskgroup.Group) error{
		"Wait": (*taskgroup.Group).Wait,
		"Stop": (*taskgroup.Group).Stop,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
				g := taskgroup.New(ctx)
				done := g.Done()
				g.Go(after(10*ms, nil))
				time.Sleep(20 * ms)
				require.False(t, isClosed(done), "all tasks have ended, but nobody has waited for them")

				g.Go(after(10*ms, nil))
				synctest.Wait()
				var joined atomic.Bool
				go func() {
					_ = join(g)
					joined.Store(true)
				}()
				<-done
				require.Equal(t, 30*ms, now())
				synctest.Wait()
				require.True(t, joined.Load())
				require.True(t, isClosed(g.Done()))
			})
		})
	}
}

func TestDoneOfAJoinedGroupIsClosed(t *testing.T) {
	g := taskgroup.New(t.Context())
	require.NoError(t, g.Wait())
	require.True(t, isClosed(g.Done()))
}

func TestWaitReturnsTheSameToAll(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Go(after(10*ms, errA))
		var results [8]error
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() { results[i] = g.Wait() })
		}
		wg.Wait()
		require.Equal(t, 10*ms, now())
		for _, err := range results {
			require.Same(t, failed(t, g.Wait()), err)
		}
		require.Same(t, failed(t, g.Wait()), g.Stop())
	})
}

func TestTasksMayStartOthersWhileWaitBlocks(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx)
		var chain func(n int) func(context.Context) error
		chain = func(n int) func(context.Context) error {
			return func(context.Context) error {
				time.Sleep(ms)
				if n > 1 {
					g.Go(chain(n - 1))
				}
				return nil
			}
		}
		g.Go(chain(100))
		require.NoError(t, g.Wait())
		require.Equal(t, 100*ms, now())
	})
}

func TestEndOfEachTaskSynchronizesBeforeTheReturnOfWait(t *testing.T) {
	g := taskgroup.New(t.Context())
	var written [100]int // not atomic: the race detector would see a missing edge
	for i := range written {
		g.Go(func(context.Context) error {
			written[i] = i
			return nil
		})
	}
	require.NoError(t, g.Wait())
	for i, v := range written {
		require.Equal(t, i, v)
	}
}

func TestEndOfEachTaskSynchronizesBeforeTheReturnOfRun(t *testing.T) {
	var written [100]int
	require.NoError(t, taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
		for i := range written {
			g.Start(taskgroup.Task{Background: i%10 == 0, Func: func(context.Context) error {
				written[i] = i
				return nil
			}})
		}
		return nil
	}))
	for i, v := range written {
		require.Equal(t, i, v)
	}
}

func TestEndOfEachTaskSynchronizesBeforeTheClosingOfDone(t *testing.T) {
	g := taskgroup.New(t.Context())
	done := g.Done()
	var written [100]int
	for i := range written {
		g.Go(func(context.Context) error {
			written[i] = i
			return nil
		})
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		<-done
		for i, v := range written {
			if i != v {
				t.Errorf("written[%d] = %d", i, v)
			}
		}
	})
	require.NoError(t, g.Wait())
	wg.Wait()
}

func TestGoPanicsAfterWaitReturned(t *testing.T) {
	g := taskgroup.New(t.Context())
	require.NoError(t, g.Wait())
	nop := after(0, nil)
	require.PanicsWithValue(t, "taskgroup: Go called after Wait returned", func() { g.Go(nop) })
	require.PanicsWithValue(t, "taskgroup: Start called after Wait returned", func() { g.Start(taskgroup.Task{Func: nop}) })
	require.PanicsWithValue(t, "taskgroup: Start called after Wait returned", func() {
		g.Start(taskgroup.Task{Func: nop, Background: true})
	})
	require.PanicsWithValue(t, "taskgroup: Async called after Wait returned", func() { taskgroup.Async(g, one) })
	require.False(t, g.TryGo(nop))
	require.NoError(t, g.Wait())
}

func TestZeroGroupNamesTheConstructors(t *testing.T) {
	const text = "taskgroup: the zero Group is not usable; make it with Run or New"
	var g taskgroup.Group
	nop := after(0, nil)
	for name, call := range map[string]func(){
		"Go":                         func() { g.Go(nop) },
		"TryGo":                      func() { g.TryGo(nop) },
		"Start":                      func() { g.Start(taskgroup.Task{Func: nop}) },
		"Start of a background task": func() { g.Start(taskgroup.Task{Func: nop, Background: true}) },
		"Async":                      func() { taskgroup.Async(&g, one) },
		"Context":                    func() { g.Context() },
		"Cancel":                     func() { g.Cancel(nil) },
		"Wait":                       func() { _ = g.Wait() },
		"Stop":                       func() { _ = g.Stop() },
		"Done":                       func() { g.Done() },
	} {
		require.PanicsWithValue(t, text, call, name)
	}
}

func TestNilContextPanics(t *testing.T) {
	var none context.Context
	require.PanicsWithValue(t, "taskgroup: the context is nil", func() { taskgroup.New(none) })
	require.PanicsWithValue(t, "taskgroup: the context is nil", func() {
		_ = taskgroup.Run(none, func(context.Context, *taskgroup.Group) error { return nil })
	})
}

func TestNilFunctionPanics(t *testing.T) {
	g := taskgroup.New(t.Context())
	defer func() { require.NoError(t, g.Stop()) }()
	require.PanicsWithValue(t, "taskgroup: Go called with a nil function", func() { g.Go(nil) })
	require.PanicsWithValue(t, "taskgroup: TryGo called with a nil function", func() { g.TryGo(nil) })
	require.PanicsWithValue(t, "taskgroup: Async called with a nil function", func() { taskgroup.Async[int](g, nil) })
	require.PanicsWithValue(t, "taskgroup: Cancellation called with a nil function", func() { taskgroup.Cancellation(nil) })
	require.PanicsWithValue(t, "taskgroup: Start called with a nil Func", func() { g.Start(taskgroup.Task{}) })
	require.PanicsWithValue(t, "taskgroup: Start called with a nil Func", func() { g.Start(taskgroup.Task{Background: true}) })
}

func TestNilBodyPanics(t *testing.T) {
	require.PanicsWithValue(t, "taskgroup: Run called with a nil function", func() { _ = taskgroup.Run(t.Context(), nil) })
}

func TestOptionsOutOfRangePanic(t *testing.T) {
	require.PanicsWithValue(t, "taskgroup: Limit(0): the limit is 1 or more, or Unlimited", func() { taskgroup.Limit(0) })
	require.PanicsWithValue(t, "taskgroup: Limit(-2): the limit is 1 or more, or Unlimited", func() { taskgroup.Limit(-2) })
	require.PanicsWithValue(t, "taskgroup: MaxErrors(0): at least 1 error is kept", func() { taskgroup.MaxErrors(0) })
	require.PanicsWithValue(t, "taskgroup: OnPanic(3): the policies are Propagate, AsError and Crash", func() { taskgroup.OnPanic(3) })
}

func TestVetFindsCopies(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("the go command is not there: ", err)
	}
	out, err := exec.CommandContext(t.Context(), goTool, "vet", "./testdata/copied").CombinedOutput()
	require.Error(t, err, "vet finds nothing")
	require.Contains(t, string(out), "copied.go:7:")
	require.Contains(t, string(out), "passes lock by value: github.com/grove-go/grove/taskgroup.Group")
	require.Contains(t, string(out), "copied.go:9:")
	require.Contains(t, string(out), "assignment copies lock value")
}
