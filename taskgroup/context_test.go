package taskgroup_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// requireEnded checks all that a context says of its end.
func requireEnded(t *testing.T, ctx context.Context, err, cause error) {
	t.Helper()
	require.Equal(t, err, ctx.Err())
	require.Equal(t, cause, context.Cause(ctx))
	require.True(t, isClosed(ctx.Done()))
	require.Equal(t, err, ctx.Err(), "still")
	require.Equal(t, cause, context.Cause(ctx), "still")

	below, cancel := context.WithCancel(context.WithValue(ctx, key("z"), 3))
	defer cancel()
	require.Equal(t, err, below.Err())
	require.Equal(t, cause, context.Cause(below))
	require.Equal(t, "value", below.Value(key("base")))
}

func TestContextOfALiveGroupIsItsParents(t *testing.T) {
	eachParent(t, func(t *testing.T, g *taskgroup.Group, parent context.Context, _ func()) {
		ctx := g.Context()
		require.NoError(t, ctx.Err())
		require.NoError(t, context.Cause(ctx))
		for _, k := range []key{"base", "x", "y", "none"} {
			require.Equal(t, parent.Value(k), ctx.Value(k))
		}
		want, wantOK := parent.Deadline()
		got, ok := ctx.Deadline()
		require.Equal(t, wantOK, ok)
		require.Equal(t, want, got)
		require.False(t, isClosed(ctx.Done()))
		require.NoError(t, g.Wait())
	})
}

func TestContextEndsAsItsParentDoes(t *testing.T) {
	eachParent(t, func(t *testing.T, g *taskgroup.Group, parent context.Context, end func()) {
		end()
		if parent.Done() == nil {
			require.NoError(t, g.Wait())
			return
		}
		requireEnded(t, g.Context(), parent.Err(), context.Cause(parent))
		g.Cancel(errA)
		require.NoError(t, g.Wait())
		requireEnded(t, g.Context(), parent.Err(), context.Cause(parent))
	})
}

func TestContextEndsWithItsGroup(t *testing.T) {
	eachParent(t, func(t *testing.T, g *taskgroup.Group, parent context.Context, end func()) {
		deadline, hasDeadline := parent.Deadline()
		g.Cancel(errA)
		cause := &taskgroup.CancelError{Cause: errA}
		requireEnded(t, g.Context(), context.Canceled, cause)
		end()
		requireEnded(t, g.Context(), context.Canceled, cause)
		require.Equal(t, errA, failed(t, g.Wait()).Cause)
		requireEnded(t, g.Context(), context.Canceled, cause)
		require.Equal(t, parent.Value(key("x")), g.Context().Value(key("x")))
		got, ok := g.Context().Deadline()
		require.Equal(t, hasDeadline, ok)
		require.Equal(t, deadline, got)
	})
}

func TestContextIsAskedForTheFirstTimeAfterBothHaveEnded(t *testing.T) {
	eachParent(t, func(t *testing.T, g *taskgroup.Group, _ context.Context, end func()) {
		g.Cancel(errA)
		end()
		requireEnded(t, g.Context(), context.Canceled, &taskgroup.CancelError{Cause: errA})
		require.Equal(t, errA, failed(t, g.Wait()).Cause)
	})
}

func TestParentMayUseTheGroupWhileTheContextIsMade(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		parent := &intruder{registry: newRegistry(context.WithValue(ctx, key("base"), "value"))}
		g := taskgroup.New(parent)
		var inner <-chan struct{}
		parent.first = func() {
			parent.first = func() {}
			inner = g.Context().Done()
			g.Cancel(errA)
			parent.end(context.DeadlineExceeded)
		}
		done := g.Context().Done()
		require.Equal(t, inner, done)
		requireEnded(t, g.Context(), context.Canceled, &taskgroup.CancelError{Cause: errA})
		require.Equal(t, errA, failed(t, g.Wait()).Cause)
		now, _ := parent.registered()
		require.Zero(t, now, "registered with the parent")
	})
}

func TestContextIsMadeAnewIfTheGroupEndsMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		parent := &intruder{registry: newRegistry(context.WithValue(ctx, key("base"), "value"))}
		g := taskgroup.New(parent)
		parent.first = func() {
			g.Cancel(errA)
			parent.end(context.DeadlineExceeded) // what the parent does after that must not become the cause
		}
		require.True(t, isClosed(g.Context().Done()))
		requireEnded(t, g.Context(), context.Canceled, &taskgroup.CancelError{Cause: errA})
		require.Equal(t, errA, failed(t, g.Wait()).Cause)
		now, _ := parent.registered()
		require.Zero(t, now, "registered with the parent")
	})
}

func TestContextHasEndedWhenWaitHasReturned(t *testing.T) {
	eachParent(t, func(t *testing.T, g *taskgroup.Group, _ context.Context, end func()) {
		require.NoError(t, g.Wait())
		cause := &taskgroup.CancelError{Cause: taskgroup.ErrStopped}
		requireEnded(t, g.Context(), context.Canceled, cause)
		end()
		requireEnded(t, g.Context(), context.Canceled, cause)
	})
}

// Package context tells a child of the end of a type of its own through a goroutine, which may take its time.
func TestContextHasEndedWhenWaitHasReturnedThoughTheParentHasNotSaidSoYet(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		r := newRegistry(ctx)
		g := taskgroup.New(r)
		done := g.Context().Done()
		r.custom.end(context.DeadlineExceeded)
		require.NoError(t, g.Wait())
		require.Error(t, g.Context().Err())
		require.True(t, isClosed(done))
	})
}

// A context's Err does not change any more once it is not nil, even when the group and its parent end at the same time.
// This parent ends while the group looks whether it has.
func TestContextEndsOnlyOnce(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		p := &endsWhenAsked{custom: newCustom(ctx)}
		g := taskgroup.New(p)
		var during error
		p.asked = func() { during = g.Context().Err() }
		g.Cancel(errA)
		_ = g.Wait()
		if during != nil {
			require.Equal(t, during, g.Context().Err())
		}
	})
}

// A parent has an Err before it has told its children, and somebody may ask for Done in between.
func TestErrDoesNotChangeWhileTheParentEnds(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		p := &endsUntold{registry: newRegistry(ctx)}
		g := taskgroup.New(p)
		var done <-chan struct{}
		p.asked = func() { done = g.Context().Done() }
		require.Equal(t, context.DeadlineExceeded, g.Context().Err())
		require.False(t, isClosed(done))
		require.Equal(t, context.DeadlineExceeded, g.Context().Err(), "still")
		require.NoError(t, g.Wait())
		require.True(t, isClosed(done))
		require.Equal(t, context.DeadlineExceeded, g.Context().Err(), "still")
	})
}

// endsUntold ends when it is asked for its Err, and tells nobody.
type endsUntold struct {
	*registry
	asked func()
}

func (e *endsUntold) Err() error {
	if asked := e.asked; asked != nil {
		e.asked = nil
		asked()
		e.custom.end(context.DeadlineExceeded)
	}
	return e.custom.Err()
}

type endsWhenAsked struct {
	*custom
	asked func()
}

func (e *endsWhenAsked) Err() error {
	err := e.custom.Err()
	if asked := e.asked; asked != nil {
		e.asked = nil
		e.end(context.DeadlineExceeded)
		asked()
	}
	return err
}

func TestDerivedContextsEndWithTheGroup(t *testing.T) {
	eachParent(t, func(t *testing.T, g *taskgroup.Group, _ context.Context, _ func()) {
		ctx := g.Context()
		plain, cancel := context.WithCancel(ctx)
		defer cancel()
		timed, cancelTimed := context.WithTimeout(context.WithValue(ctx, key("z"), 3), time.Hour)
		defer cancelTimed()
		shielded := context.WithoutCancel(ctx)
		called := false
		context.AfterFunc(plain, func() { called = true })
		stop := context.AfterFunc(ctx, func() { t.Error("called though stopped") })
		require.True(t, stop())

		g.Cancel(errA)
		synctest.Wait()
		cause := &taskgroup.CancelError{Cause: errA}
		require.Equal(t, cause, context.Cause(plain))
		require.Equal(t, cause, context.Cause(timed))
		require.True(t, called)
		require.NoError(t, shielded.Err())
		require.NoError(t, context.Cause(shielded))
		require.Nil(t, shielded.Done())
		require.Equal(t, "value", shielded.Value(key("base")))
		require.Error(t, g.Wait())
	})
}

// stacks is what all goroutines do.
func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// watchers counts the goroutines by which package context watches contexts that it does not know.
func watchers() int {
	return strings.Count(stacks(), "created by context.(*cancelCtx).propagateCancel")
}

func TestDerivedContextsStartNoGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		outer := taskgroup.New(ctx)
		inner := taskgroup.New(context.WithValue(outer.Context(), key("x"), 1))
		for _, g := range []*taskgroup.Group{outer, inner} {
			ctx := context.WithValue(g.Context(), key("y"), 2)
			_, cancel := context.WithCancel(ctx)
			defer cancel()
			_, cancelTimed := context.WithTimeout(ctx, time.Hour)
			defer cancelTimed()
			defer context.AfterFunc(ctx, func() {})()
			require.NotNil(t, taskgroup.New(ctx).Context().Done())
			g.Go(func(ctx context.Context) error { // a task's context is not that of those outside
				ctx, cancel := context.WithTimeout(context.WithValue(ctx, key("z"), 3), time.Hour)
				defer cancel()
				defer context.AfterFunc(ctx, func() {})()
				require.Zero(t, watchers())
				return nil
			})
		}
		synctest.Wait()
		require.Zero(t, watchers())
		_, cancel := context.WithCancel(newCustom(ctx))
		require.Equal(t, 1, watchers(), "they can be seen")
		cancel()
		require.NoError(t, inner.Wait())
		require.NoError(t, outer.Wait())
	})
}

func TestContextIsNotRegisteredBeforeDoneIsAskedFor(t *testing.T) {
	r := newRegistry(t.Context())
	require.NoError(t, taskgroup.Run(r, func(ctx context.Context, g *taskgroup.Group) error {
		for range 100 {
			g.Go(func(ctx context.Context) error {
				ctx.Value(key("x"))
				return errors.Join(ctx.Err(), context.Cause(ctx))
			})
		}
		return context.Cause(ctx)
	}))
	_, ever := r.registered()
	require.Zero(t, ever)
}

func TestContextIsReleasedFromItsParentWhenWaitHasReturned(t *testing.T) {
	for name, join := range map[string]func(*taskgroup.Group){
		"Wait":    func(g *taskgroup.Group) { _ = g.Wait() },
		"Stop":    func(g *taskgroup.Group) { _ = g.Stop() },
		"failure": func(g *taskgroup.Group) { g.Go(after(0, errA)); _ = g.Wait() },
		"panic":   func(g *taskgroup.Group) { g.Go(func(context.Context) error { panic("x") }); end(g.Wait) },
		"Cancel":  func(g *taskgroup.Group) { g.Cancel(errA); _ = g.Wait() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t.Context())
			for range 100 {
				g := taskgroup.New(r)
				_, cancel := context.WithCancel(g.Context())
				now, _ := r.registered()
				require.Equal(t, 1, now, "once for each group, whatever is derived from it")
				join(g)
				cancel()
				now, _ = r.registered()
				require.Zero(t, now)
			}
		})
	}
}

func TestParentKeepsNoGroupThatHasBeenJoined(t *testing.T) {
	for name, newParent := range parents {
		if strings.Contains(name, "of its own") {
			continue // package context's goroutine keeps nothing but needs a moment to end
		}
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			parent, _ := newParent(ctx)
			var groups []weak.Pointer[taskgroup.Group]
			for range 10 {
				g := taskgroup.New(parent)
				g.Context().Done()
				g.Go(after(0, nil))
				require.NoError(t, g.Wait())
				groups = append(groups, weak.Make(g))
			}
			requireCollected(t, groups)
			runtime.KeepAlive(parent)
		})
	}
}

// requireCollected runs the garbage collector until it has collected all of what ps point to.
func requireCollected[T any](t *testing.T, ps []weak.Pointer[T]) {
	t.Helper()
	alive := func(p weak.Pointer[T]) bool { return p.Value() != nil }
	for range 100 {
		runtime.GC()
		if !slices.ContainsFunc(ps, alive) {
			return
		}
	}
	require.Fail(t, "still reachable")
}

func TestTasksContextIsTheGroups(t *testing.T) {
	eachParent(t, func(t *testing.T, g *taskgroup.Group, parent context.Context, end func()) {
		g.Go(func(ctx context.Context) error {
			require.Equal(t, parent.Value(key("x")), ctx.Value(key("x")))
			require.Equal(t, "value", ctx.Value(key("base")))
			want, wantOK := parent.Deadline()
			got, ok := ctx.Deadline()
			require.Equal(t, wantOK, ok)
			require.Equal(t, want, got)
			require.NoError(t, ctx.Err())
			require.NoError(t, context.Cause(ctx))
			g.Cancel(errA)
			requireEnded(t, ctx, context.Canceled, &taskgroup.CancelError{Cause: errA})
			end()
			requireEnded(t, ctx, context.Canceled, &taskgroup.CancelError{Cause: errA})
			return nil
		})
		require.Equal(t, errA, failed(t, g.Wait()).Cause)
	})
}

// Loggers and mocks print their arguments, and must neither race with the tasks nor show what a group is made of.
func TestContextPrintsLikeAContext(t *testing.T) {
	g := taskgroup.New(t.Context())
	texts := make(chan string, 100)
	for range cap(texts) {
		g.Go(func(ctx context.Context) error {
			texts <- fmt.Sprint(ctx)
			return untilDone(ctx)
		})
	}
	text := fmt.Sprint(g.Context())
	require.True(t, strings.HasPrefix(text, fmt.Sprint(t.Context())), text)
	for range cap(texts) {
		require.Equal(t, text, <-texts)
	}
	derived, cancel := context.WithCancel(g.Context())
	defer cancel()
	require.Equal(t, text+".WithCancel", fmt.Sprint(derived))
	require.NoError(t, g.Stop())
}

func TestContextHasOneDoneChannel(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		parent := &intruder{registry: newRegistry(ctx)}
		g := taskgroup.New(parent)
		var first <-chan struct{}
		parent.first = func() {
			parent.first = func() {}
			first = g.Context().Done()
		}
		done := g.Context().Done()
		require.NotNil(t, first)
		require.Equal(t, first, done)
		require.NoError(t, g.Wait())
		require.True(t, isClosed(done))
	})
}
