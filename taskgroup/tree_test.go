package taskgroup_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

func TestTasksOfTheSameFunctionAreOneInATree(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		h := new(taskgroup.Hooks)
		g := taskgroup.New(taskgroup.WithHooks(ctx, h))
		start := time.Now()
		for range 1000 {
			g.Go(untilDone)
		}
		synctest.Wait()
		time.Sleep(ms)
		g.Go(untilDone)
		g.Start(taskgroup.Task{Name: "named", Func: untilDone})
		synctest.Wait()
		g.Start(taskgroup.Task{Name: "named", Func: untilDone, Background: true})
		synctest.Wait()

		tree, _ := h.Groups(1, 3)
		require.Equal(t, 1003, tree[0].Running)
		require.Len(t, tree[0].Tasks, 3)
		require.Contains(t, tree[0].Tasks[0].Func, "untilDone")
		require.Equal(t, 1001, tree[0].Tasks[0].Count)
		require.Equal(t, start, tree[0].Tasks[0].Started)
		require.Equal(t, "named", tree[0].Tasks[1].Name)
		require.Equal(t, 1, tree[0].Tasks[1].Count)
		require.True(t, tree[0].Tasks[2].Background)

		tree, _ = h.Groups(1, 1)
		require.Len(t, tree[0].Tasks, 1)
		require.Equal(t, 1003, tree[0].Running)
		require.NoError(t, g.Stop())
	})
}

func names(trees []taskgroup.GroupInfo) (all []string) {
	for _, g := range trees {
		all = append(append(all, g.Name), names(g.Groups)...)
	}
	return all
}

func TestNoMoreGroupsAreListedThanWereAskedFor(t *testing.T) {
	h := new(taskgroup.Hooks)
	ctx := taskgroup.WithHooks(t.Context(), h)
	begin := func(ctx context.Context, name string) *taskgroup.Group {
		g := taskgroup.New(ctx, taskgroup.Name(name))
		t.Cleanup(func() { require.NoError(t, g.Stop()) })
		return g
	}
	a := begin(ctx, "a")
	begin(a.Context(), "a1")
	a2 := begin(a.Context(), "a2")
	begin(a2.Context(), "a21")
	begin(ctx, "b")
	all := []string{"a", "a1", "a2", "a21", "b"}
	for limit := range 7 {
		trees, live := h.Groups(limit, 1)
		require.Equal(t, 5, live)
		require.Equal(t, all[:min(limit, 5)], append([]string{}, names(trees)...))
	}
}

func TestHooksCancelAGroupByItsID(t *testing.T) {
	h := new(taskgroup.Hooks)
	outer := taskgroup.New(taskgroup.WithHooks(t.Context(), h), taskgroup.Name("outer"))
	inner := taskgroup.New(outer.Context(), taskgroup.Name("inner"))
	inner.Go(untilDone)
	trees, _ := h.Groups(2, 1)
	id := trees[0].Groups[0].ID

	require.False(t, h.Cancel(id+100, errA))
	require.NoError(t, inner.Context().Err())
	require.True(t, h.Cancel(id, errA))
	require.ErrorIs(t, inner.Wait(), errA)
	require.False(t, h.Cancel(id, errA))
	require.NoError(t, outer.Context().Err())
	require.NoError(t, outer.Stop())
}

func TestEndOfTheParentIsNoticedAtOnceByAGroupThatHasStartedATask(t *testing.T) {
	for name, task := range map[string]taskgroup.Task{
		"task":            {Func: after(3*ms, nil)},
		"background task": {Func: after(3*ms, nil), Background: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				h := new(taskgroup.Hooks)
				start := time.Now()
				ctx, cancel := context.WithTimeoutCause(taskgroup.WithHooks(ctx, h), ms, errA)
				defer cancel()
				g := taskgroup.New(ctx)
				g.Start(task)
				time.Sleep(2 * ms)
				trees, _ := h.Groups(1, 1)
				require.Equal(t, start.Add(ms), trees[0].Canceled)
				require.Equal(t, errA, trees[0].Cause)
				_ = g.Wait()
			})
		})
	}
}

func TestEndOfTheParentIsNoticedInAGroupWithoutTasksWhenSomebodyLooks(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var ended taskgroup.GroupInfo
		h := &taskgroup.Hooks{GroupEnded: func(_ context.Context, g taskgroup.GroupInfo, _ error) { ended = g }}
		start := time.Now()
		ctx, cancel := context.WithTimeoutCause(taskgroup.WithHooks(ctx, h), ms, errA)
		defer cancel()
		err := taskgroup.Run(ctx, func(context.Context, *taskgroup.Group) error {
			trees, _ := h.Groups(1, 1)
			require.Zero(t, trees[0].Canceled)
			time.Sleep(2 * ms)
			for range 2 {
				trees, _ = h.Groups(1, 1)
				require.Equal(t, start.Add(2*ms), trees[0].Canceled)
				require.Equal(t, errA, trees[0].Cause)
				time.Sleep(ms)
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, start.Add(2*ms), ended.Canceled)
	})
}

func TestParentMayUseAnObservedGroupWhileItIsRegisteredWith(t *testing.T) {
	parent := &intruder{registry: newRegistry(taskgroup.WithHooks(t.Context(), new(taskgroup.Hooks)))}
	g := taskgroup.New(parent)
	ran := make(chan struct{}, 2)
	task := func(context.Context) error {
		ran <- struct{}{}
		return nil
	}
	parent.first = func() { g.Go(task) }
	g.Go(task)
	require.NoError(t, g.Wait())
	require.Len(t, ran, 2)
	now, ever := parent.registered()
	require.Equal(t, 0, now)
	require.Equal(t, 1, ever)
}

func TestTaskThatIsTooLateLeavesNothingWithTheParent(t *testing.T) {
	for _, late := range []taskgroup.Task{{Func: untilDone}, {Func: untilDone, Background: true}} {
		parent := newRegistry(taskgroup.WithHooks(t.Context(), new(taskgroup.Hooks)))
		g := taskgroup.New(parent)
		require.NoError(t, g.Wait())
		require.Panics(t, func() { g.Start(late) })
		now, ever := parent.registered()
		require.Equal(t, 0, now)
		require.Equal(t, 1, ever)
	}
}

func TestGroupEndedKnowsWhenTheGroupWasCanceledAndWhatFailed(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		var infos []taskgroup.GroupInfo
		h := &taskgroup.Hooks{GroupEnded: func(_ context.Context, g taskgroup.GroupInfo, _ error) { infos = append(infos, g) }}
		ctx = taskgroup.WithHooks(ctx, h)
		start := time.Now()

		g := taskgroup.New(ctx)
		g.Start(taskgroup.Task{Name: "bad", Func: after(ms, errA)})
		g.Go(stuck)
		require.ErrorIs(t, g.Wait(), errA)

		g = taskgroup.New(ctx)
		g.Go(after(0, nil))
		require.NoError(t, g.Wait())

		ended, cancel := context.WithCancel(ctx)
		cancel()
		require.NoError(t, taskgroup.New(ended).Wait())

		require.Equal(t, start.Add(ms), infos[0].Canceled)
		require.Equal(t, "bad", infos[0].Failure.Name)
		require.ErrorIs(t, infos[0].Cause, errA)
		require.Zero(t, infos[1].Canceled)
		require.NoError(t, infos[1].Cause)
		require.Nil(t, infos[1].Failure)
		require.Equal(t, time.Now(), infos[2].Canceled)
		require.ErrorIs(t, infos[2].Cause, context.Canceled)
	})
}

func TestHooksAreToldOfTheFailuresOfLoopsAndRaces(t *testing.T) {
	fail := func(context.Context, int) (int, error) { return 0, errA }
	items := slices.Values([]int{1, 2})
	drain := func(results iter.Seq2[int, error]) (err error) {
		for _, e := range results {
			err = errors.Join(err, e)
		}
		return err
	}
	for name, c := range map[string]struct {
		run      func(ctx context.Context) error
		failures int
	}{
		"ForEach": {func(ctx context.Context) error {
			return taskgroup.ForEach(ctx, 1, items, func(context.Context, int) error { return errA })
		}, 1},
		"Map": {func(ctx context.Context) error {
			_, err := taskgroup.Map(ctx, 1, []int{1, 2}, fail, taskgroup.KeepGoing())
			return err
		}, 2},
		"Stream": {func(ctx context.Context) error { return drain(taskgroup.Stream(ctx, 1, items, fail)) }, 1},
		"Ordered": {func(ctx context.Context) error {
			return drain(taskgroup.Ordered(ctx, 1, items, fail, taskgroup.KeepGoing()))
		}, 2},
		"First": {func(ctx context.Context) error {
			f := func(context.Context) (int, error) { return 0, errA }
			_, err := taskgroup.First(ctx, []func(context.Context) (int, error){f, f})
			return err
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var d diary
			err := c.run(taskgroup.WithHooks(t.Context(), d.hooks()))
			require.ErrorIs(t, err, errA)
			failed := slices.DeleteFunc(d.sorted(), func(line string) bool { return line != "task / ended: a failed" })
			require.Len(t, failed, c.failures)
			e, ok := errors.AsType[*taskgroup.TaskError](err)
			require.True(t, ok)
			require.True(t, e.Observed)
		})
	}
}

func TestFailuresTellWhetherHooksKnowOfThem(t *testing.T) {
	run := func(ctx context.Context) *taskgroup.Error {
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(after(0, errA))
			return errB
		}, taskgroup.KeepGoing())
		var e *taskgroup.Error
		require.ErrorAs(t, err, &e)
		require.Len(t, e.Tasks, 2)
		return e
	}
	for _, e := range run(t.Context()).Tasks {
		require.False(t, e.Observed)
	}
	for _, e := range run(taskgroup.WithHooks(t.Context(), new(taskgroup.Hooks))).Tasks {
		require.Equal(t, errors.Is(e, errA), e.Observed, "the body is no task")
	}
}

// It is part of the task that awaits it, whose end hooks are told of, and that may have made something else of it.
func TestHooksDoNotKnowOfAFailureOfATaskThatAwaitRuns(t *testing.T) {
	for name, f := range map[string]func(context.Context) (int, error){
		"an error": func(context.Context) (int, error) { return 0, errA },
		"a panic":  func(context.Context) (int, error) { panic(errA) },
	} {
		t.Run(name, func(t *testing.T) {
			var d diary
			g := taskgroup.New(taskgroup.WithHooks(t.Context(), d.hooks()), taskgroup.Limit(1), taskgroup.OnPanic(taskgroup.AsError))
			g.Start(taskgroup.Task{Name: "awaits", Func: func(ctx context.Context) error {
				taskgroup.Async(g, f).Await(ctx) //nolint:errcheck // there is something else to do then
				return nil
			}})
			e := failed(t, g.Wait())
			require.Len(t, e.Tasks, 1)
			require.ErrorIs(t, e, errA)
			require.False(t, e.Tasks[0].Observed)
			require.Contains(t, d.sorted(), "task /awaits ended: <nil>")
		})
	}
}

func TestHooksDoNotCancelAGroupSilently(t *testing.T) {
	var h taskgroup.Hooks
	for _, cause := range []error{nil, taskgroup.ErrStopped} {
		require.PanicsWithValue(t, "taskgroup: Hooks.Cancel called without a cause", func() { h.Cancel(1, cause) })
	}
}

func TestAGroupThatOutlivesTheOneAroundItStaysInTheTree(t *testing.T) {
	h := new(taskgroup.Hooks)
	outer := taskgroup.New(taskgroup.WithHooks(t.Context(), h), taskgroup.Name("outer"))
	middle := taskgroup.New(outer.Context(), taskgroup.Name("middle"))
	inner := taskgroup.New(middle.Context(), taskgroup.Name("inner"))
	require.NoError(t, middle.Stop())
	late := taskgroup.New(middle.Context(), taskgroup.Name("late"))
	trees, live := h.Groups(5, 1)
	require.Equal(t, []string{"outer", "inner", "late"}, names(trees))
	require.Len(t, trees, 1)
	require.Equal(t, 3, live)
	require.NoError(t, outer.Stop())
	trees, live = h.Groups(5, 1)
	require.Equal(t, []string{"inner", "late"}, names(trees))
	require.Equal(t, 2, live)
	require.NoError(t, inner.Stop())
	require.NoError(t, late.Stop())
	trees, live = h.Groups(5, 1)
	require.Empty(t, trees)
	require.Zero(t, live)
}

func TestHooksThatObserveAlreadyAreNotAddedAgain(t *testing.T) {
	h := new(taskgroup.Hooks)
	ctx := taskgroup.WithHooks(t.Context(), h)
	require.Equal(t, ctx, taskgroup.WithHooks(ctx, h))
	outer := taskgroup.New(ctx, taskgroup.Name("outer"))
	inside := outer.Context()
	require.Equal(t, inside, taskgroup.WithHooks(inside, h))

	other := new(taskgroup.Hooks)
	inner := taskgroup.New(taskgroup.WithHooks(inside, other), taskgroup.Name("inner"))
	trees, _ := h.Groups(2, 1)
	require.Equal(t, []string{"outer"}, names(trees))
	trees, _ = other.Groups(2, 1)
	require.Equal(t, []string{"inner"}, names(trees))

	blind := taskgroup.New(taskgroup.WithHooks(inside, nil))
	require.NoError(t, blind.Stop())
	require.NoError(t, inner.Stop())
	require.NoError(t, outer.Stop())
}
