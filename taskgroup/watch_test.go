package taskgroup_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// stuck does not listen to its context.
func stuck(context.Context) error {
	time.Sleep(50 * ms)
	return nil
}

func TestGraceReportsWhatStillRuns(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var reports []taskgroup.Stragglers
		g := taskgroup.New(ctx, taskgroup.Name("batch"), taskgroup.Grace(10*ms, func(s taskgroup.Stragglers) {
			require.Equal(t, 15*ms, now())
			reports = append(reports, s)
		}))
		g.Start(taskgroup.Task{Name: "slow", Func: stuck})
		g.Go(untilDone)
		time.Sleep(5 * ms)
		g.Cancel(errA)
		require.ErrorIs(t, g.Wait(), errA)
		require.Equal(t, 50*ms, now(), "it is still waited for")

		require.Len(t, reports, 1)
		s := reports[0]
		require.Equal(t, "batch", s.Group)
		require.ErrorIs(t, s.Cause, errA)
		require.Equal(t, 10*ms, s.After)
		require.Len(t, s.Tasks, 1)
		require.Equal(t, "slow", s.Tasks[0].Name)
		require.Contains(t, s.Tasks[0].Func, "taskgroup_test.stuck")
		require.Contains(t, s.Tasks[0].File, "watch_test.go")
		require.Contains(t, string(s.Tasks[0].Stack), "taskgroup_test.stuck(")
	})
}

func TestGraceReportsNothingWhenAllHaveStopped(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		report := taskgroup.Grace(10*ms, func(s taskgroup.Stragglers) { t.Errorf("stragglers: %v", s) })
		g := taskgroup.New(ctx, report)
		g.Go(untilDone)
		require.NoError(t, g.Stop())

		g = taskgroup.New(ctx, report) // nobody has joined it yet
		g.Go(untilDone)
		g.Cancel(nil)
		time.Sleep(time.Second)
		require.NoError(t, g.Wait())

		g = taskgroup.New(ctx, report) // not cancelled
		g.Go(stuck)
		require.NoError(t, g.Wait())
		time.Sleep(time.Second)
	})
}

func TestLongerGraceKeepsAPanicForItsOwnerAsLong(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Grace(time.Minute, func(taskgroup.Stragglers) {}))
		g.Go(panics(0, "boom"))
		time.Sleep(time.Minute - 1)
		require.Equal(t, "boom", panicOf(t, g.Wait).Value)
	})
}

func TestLongerGraceHoldsAPanicOfTheBodyBackAsLong(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		e := end(func() error {
			return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Go(after(time.Minute-1, nil))
				synctest.Wait()
				culprit("body")
				return nil
			}, taskgroup.Grace(time.Minute, func(taskgroup.Stragglers) {}))
		})
		require.Equal(t, "body", e.panicked)
		require.Equal(t, time.Minute-1, now())
	})
}

func TestGraceReportsAfterTheEndOfTheParent(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, ms)
		defer cancel()
		reported := false
		g := taskgroup.New(ctx, taskgroup.Grace(0, func(s taskgroup.Stragglers) {
			require.Equal(t, context.DeadlineExceeded, s.Cause)
			reported = true
		}))
		g.Go(stuck)
		require.NoError(t, g.Wait())
		require.True(t, reported)
	})
}

// diary writes down what hooks are told.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) sorted() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(slices.Values(d.lines))
}

func (d *diary) hooks() *taskgroup.Hooks {
	return &taskgroup.Hooks{
		GroupStarted: func(ctx context.Context, g taskgroup.GroupInfo) context.Context {
			d.note("group %s started", g.Name)
			return ctx
		},
		GroupCanceled: func(_ context.Context, g taskgroup.GroupInfo) { d.note("group %s canceled: %v", g.Name, g.Cause) },
		GroupEnded: func(_ context.Context, g taskgroup.GroupInfo, err error) {
			d.note("group %s ended: %v", g.Name, short(err))
		},
		TaskStarted: func(_ context.Context, t taskgroup.TaskInfo) { d.note("task %s/%s started", t.Group, t.Name) },
		TaskEnded: func(_ context.Context, t taskgroup.TaskInfo, err error, echo bool) {
			if echo {
				d.note("task %s/%s canceled: %v", t.Group, t.Name, err)
			} else {
				d.note("task %s/%s ended: %v", t.Group, t.Name, short(err))
			}
		},
	}
}

func short(err error) any {
	if p, ok := errors.AsType[*taskgroup.PanicError](err); ok {
		return p.Value
	}
	return err
}

func TestHooksAreToldOfGroupsAndTasks(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var d diary
		err := taskgroup.Run(taskgroup.WithHooks(ctx, d.hooks()), func(_ context.Context, g *taskgroup.Group) error {
			g.Start(taskgroup.Task{Name: "ok", Func: after(ms, nil)})
			g.Start(taskgroup.Task{Name: "bad", Func: after(2*ms, errA)})
			g.Start(taskgroup.Task{Name: "server", Background: true, Func: untilDone})
			g.Start(taskgroup.Task{Name: "nest", Func: func(ctx context.Context) error {
				return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
					g.Start(taskgroup.Task{Name: "leaf", Func: func(ctx context.Context) error {
						<-ctx.Done()
						time.Sleep(ms) // so that the cancellation is noticed before the end
						return ctx.Err()
					}})
					return nil
				}, taskgroup.Name("inner"))
			}})
			return nil
		}, taskgroup.Name("outer"))
		require.ErrorIs(t, err, errA)
		require.Equal(t, []string{
			"group inner canceled: outer canceled: a failed",
			"group inner ended: inner: outer canceled: a failed (1 canceled)",
			"group inner started",
			"group outer canceled: outer canceled: a failed",
			"group outer ended: outer: bad: a failed (1 canceled)",
			"group outer started",
			"task inner/leaf canceled: context canceled",
			"task inner/leaf started",
			"task outer/bad ended: a failed",
			"task outer/bad started",
			"task outer/nest canceled: inner: outer canceled: a failed (1 canceled)",
			"task outer/nest started",
			"task outer/ok ended: <nil>",
			"task outer/ok started",
			"task outer/server canceled: context canceled",
			"task outer/server started",
		}, d.sorted())
	})
}

// begin is small enough to be inlined.
func begin(ctx context.Context) error { return taskgroup.New(ctx).Stop() }

func TestPlaceOfAGroupIsWhereThisPackageWasCalled(t *testing.T) {
	var at taskgroup.GroupInfo
	ctx := taskgroup.WithHooks(t.Context(), &taskgroup.Hooks{GroupStarted: func(ctx context.Context, g taskgroup.GroupInfo) context.Context {
		at = g
		return ctx
	}})
	in := slices.Values([]int{1})
	each := func(context.Context, int) error { return nil }
	item := func(context.Context, int) (int, error) { return 0, nil }
	all := func(int, error) bool { return true }
	fs := []func(context.Context) (int, error){one}
	_, _, line, _ := runtime.Caller(0)
	calls := []func(){
		func() { _ = taskgroup.New(ctx).Stop() },
		func() { _ = taskgroup.Run(ctx, func(context.Context, *taskgroup.Group) error { return nil }) },
		func() { _ = taskgroup.ForEach(ctx, 1, in, each) },
		func() { _, _ = taskgroup.Map(ctx, 1, []int{1}, item) },
		func() { taskgroup.Stream(ctx, 1, in, item)(all) },
		func() { taskgroup.Ordered(ctx, 1, in, item)(all) },
		func() { _, _ = taskgroup.First(ctx, fs) },
		func() { _, _ = taskgroup.Quorum(ctx, 1, fs) },
		func() { func() { _ = taskgroup.New(ctx).Stop() }() },
		func() { _ = taskgroup.Run(ctx, idler{}.work) },
	}
	for i, call := range calls {
		call()
		require.Equal(t, line+2+i, at.Line)
		require.Contains(t, at.File, "watch_test.go")
		require.Contains(t, at.Func, "TestPlaceOfAGroupIsWhereThisPackageWasCalled.func")
	}
	_ = begin(ctx)
	require.Equal(t, "github.com/grove-go/grove/taskgroup_test.begin", at.Func)
	require.Contains(t, at.File, "watch_test.go")
	_ = taskgroup.Run(ctx, nothing)
	require.Equal(t, "github.com/grove-go/grove/taskgroup_test.nothing", at.Func)
	require.Contains(t, at.File, "watch_test.go")
}

func nothing(context.Context, *taskgroup.Group) error { return nil }

type idler struct{}

func (idler) work(context.Context, *taskgroup.Group) error { return nil }

func TestHookIsToldOnceOfACancellationWhateverItsOrigin(t *testing.T) {
	for name, cancel := range map[string]func(g *taskgroup.Group, parent func()){
		"own":                     func(g *taskgroup.Group, _ func()) { g.Cancel(errA) },
		"parent":                  func(_ *taskgroup.Group, parent func()) { parent() },
		"own, and parent":         func(g *taskgroup.Group, parent func()) { g.Cancel(errA); parent() },
		"parent, and own":         func(g *taskgroup.Group, parent func()) { parent(); g.Cancel(errA) },
		"own, and parent later":   func(g *taskgroup.Group, parent func()) { g.Cancel(errA); synctest.Wait(); parent() },
		"parent, and joined soon": func(g *taskgroup.Group, parent func()) { parent(); _ = g.Wait() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
				ctx, parent := context.WithCancel(ctx)
				defer parent()
				var g *taskgroup.Group
				var told []taskgroup.GroupInfo
				joined := false
				g = taskgroup.New(taskgroup.WithHooks(ctx, &taskgroup.Hooks{GroupCanceled: func(_ context.Context, i taskgroup.GroupInfo) {
					require.Error(t, g.Context().Err())
					time.Sleep(ms)
					require.False(t, joined, "Wait waits for it")
					told = append(told, i)
				}}))
				cancel(g, parent)
				_ = g.Wait()
				joined = true
				require.Len(t, told, 1)
				require.Equal(t, context.Cause(g.Context()), told[0].Cause)
				require.Equal(t, now()-ms, told[0].Canceled.Sub(told[0].Started))
			})
		})
	}
}

func TestHookIsNotToldOfACancellationWhenAGroupIsJoined(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, parent := context.WithCancel(ctx)
		var d diary
		require.NoError(t, taskgroup.New(taskgroup.WithHooks(ctx, d.hooks())).Stop())
		parent()
		synctest.Wait()
		require.Equal(t, []string{"group  ended: <nil>", "group  started"}, d.sorted())
	})
}

func TestHookIsToldOfAPanicAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		var at time.Duration
		h := &taskgroup.Hooks{TaskEnded: func(_ context.Context, _ taskgroup.TaskInfo, err error, _ bool) {
			if err != nil {
				at = now()
				require.Equal(t, "boom", short(err))
			}
		}}
		_ = panicOf(t, func() error {
			return taskgroup.Run(taskgroup.WithHooks(ctx, h), func(_ context.Context, g *taskgroup.Group) error {
				g.Go(stuck) // the owner has to wait for this
				g.Go(panics(ms, "boom"))
				return nil
			})
		})
		require.Equal(t, ms, at)
	})
}

func TestHookIsNotToldOfTasksThatAreNotStarted(t *testing.T) {
	var d diary
	g := taskgroup.New(taskgroup.WithHooks(t.Context(), d.hooks()), taskgroup.Name("g"))
	g.Cancel(nil)
	g.Go(after(0, nil))
	require.NoError(t, g.Wait())
	for _, line := range d.sorted() {
		require.False(t, strings.HasPrefix(line, "task "), line)
	}
}

func TestTaskThatAwaitRunsIsPartOfTheTaskThatAwaits(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var d diary
		g := taskgroup.New(taskgroup.WithHooks(ctx, d.hooks()), taskgroup.Limit(1))
		f := make(chan *taskgroup.Future[int], 1)
		g.Start(taskgroup.Task{Name: "awaits", Func: func(ctx context.Context) error {
			_, err := (<-f).Await(ctx)
			return err
		}})
		f <- taskgroup.Async(g, one)
		require.NoError(t, g.Wait())
		require.Equal(t, []string{"group  ended: <nil>", "group  started", "task /awaits ended: <nil>", "task /awaits started"}, d.sorted())
	})
}

func TestWaitWaitsForTheReportOfGraceWhoeverElseWaits(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Grace(10*ms, func(taskgroup.Stragglers) { time.Sleep(time.Second) }))
		g.Go(stuck)
		synctest.Wait()
		g.Cancel(nil)
		var waits sync.WaitGroup
		var errs [3]error
		var returned [3]time.Duration
		for i := range errs {
			waits.Go(func() { errs[i], returned[i] = g.Wait(), now() })
		}
		waits.Wait()
		for i, err := range errs {
			require.NoError(t, err)
			require.Equal(t, 10*ms+time.Second, returned[i])
		}
	})
}

func TestContextOfGroupStartedBecomesTheParent(t *testing.T) {
	h := &taskgroup.Hooks{GroupStarted: func(ctx context.Context, _ taskgroup.GroupInfo) context.Context {
		return context.WithValue(ctx, key("span"), 7)
	}}
	err := taskgroup.Run(taskgroup.WithHooks(t.Context(), h), func(ctx context.Context, g *taskgroup.Group) error {
		require.Equal(t, 7, ctx.Value(key("span")))
		g.Go(func(ctx context.Context) error {
			require.Equal(t, 7, ctx.Value(key("span")))
			return nil
		})
		return nil
	})
	require.NoError(t, err)
}

func TestGroupsAreListedAsATreeWhileTheyLive(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithDeadline(ctx, time.Now().Add(time.Hour))
		defer cancel()
		h := new(taskgroup.Hooks)
		outer := taskgroup.New(taskgroup.WithHooks(ctx, h), taskgroup.Name("outer"), taskgroup.Limit(1))
		outer.Start(taskgroup.Task{Name: "nest", Func: func(ctx context.Context) error {
			return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Start(taskgroup.Task{Name: "leaf", Func: untilDone})
				return nil
			}, taskgroup.Name("inner"))
		}})
		outer.Go(after(0, nil))
		outer.Go(after(0, nil))
		synctest.Wait()

		tree, live := h.Groups(10, 10)
		require.Equal(t, 2, live)
		require.Len(t, tree, 1)
		o := tree[0]
		require.Equal(t, "outer", o.Name)
		require.Contains(t, o.Func, "TestGroupsAreListedAsATreeWhileTheyLive")
		require.Contains(t, o.File, "watch_test.go")
		require.Equal(t, 2, o.Queued)
		require.Equal(t, "nest", o.Tasks[0].Name)
		deadline, _ := ctx.Deadline()
		require.Equal(t, deadline, o.Deadline)
		require.NoError(t, o.Cause)
		require.Len(t, o.Groups, 1)
		require.Equal(t, "inner", o.Groups[0].Name)
		require.Equal(t, "leaf", o.Groups[0].Tasks[0].Name)
		require.Equal(t, "inner", o.Groups[0].Tasks[0].Group)

		require.NoError(t, outer.Stop())
		tree, live = h.Groups(10, 10)
		require.Empty(t, tree)
		require.Zero(t, live)
	})
}

func TestGroupOfABackgroundTaskIsInTheTreeLikeOthers(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		h := new(taskgroup.Hooks)
		outer := taskgroup.New(taskgroup.WithHooks(ctx, h), taskgroup.Name("outer"))
		outer.Start(taskgroup.Task{Background: true, Func: func(ctx context.Context) error {
			return taskgroup.Run(ctx, func(ctx context.Context, _ *taskgroup.Group) error { return untilDone(ctx) }, taskgroup.Name("inner"))
		}})
		synctest.Wait()
		tree, live := h.Groups(10, 10)
		require.Equal(t, 2, live)
		require.Len(t, tree, 1)
		require.Equal(t, "inner", tree[0].Groups[0].Name)
		require.NoError(t, outer.Wait())
	})
}

func TestItemsOfALoopAreTasks(t *testing.T) {
	var d diary
	_, err := taskgroup.Map(taskgroup.WithHooks(t.Context(), d.hooks()), 1, []int{1, 2, 3}, func(context.Context, int) (int, error) { return 0, nil })
	require.NoError(t, err)
	started := slices.DeleteFunc(d.sorted(), func(line string) bool { return line != "task / started" })
	require.Len(t, started, 3)
}

func TestAHookThatPanicsIsAPanicOfTheTask(t *testing.T) {
	calls := 0
	h := &taskgroup.Hooks{TaskEnded: func(context.Context, taskgroup.TaskInfo, error, bool) { calls++; panic("hook") }}
	g := taskgroup.New(taskgroup.WithHooks(t.Context(), h))
	g.Go(after(0, nil))
	p := panicOf(t, g.Wait)
	require.Equal(t, "hook", p.Value)
	require.Equal(t, 1, calls)
	tree, live := h.Groups(1, 1)
	require.Empty(t, tree)
	require.Zero(t, live)
}

func TestTasksOfMapThatAreObservedAreItems(t *testing.T) {
	var started atomic.Int64
	ctx := taskgroup.WithHooks(t.Context(), &taskgroup.Hooks{TaskStarted: func(context.Context, taskgroup.TaskInfo) { started.Add(1) }})
	for range 5000 {
		started.Store(0)
		_, err := taskgroup.Map(ctx, 4, make([]int, 5), func(context.Context, int) (int, error) { return 0, nil })
		require.NoError(t, err)
		require.EqualValues(t, 5, started.Load())
	}
}
