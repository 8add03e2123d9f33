package taskgroup_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// status is an error that says "cancelled" in a way that errors.Is cannot see, as those of RPC systems do.
type status int

func (s status) Error() string { return fmt.Sprintf("status %d", int(s)) }

func isCancelStatus(err error) bool { return err == status(1) } //nolint:errorlint // it is asked about each part

// list is an error that cannot be compared.
type list []string

func (l list) Error() string { return fmt.Sprint([]string(l)) }

// withParts is a joined error of any parts.
type withParts []error

func (withParts) Error() string { return "parts" }

func (p withParts) Unwrap() []error { return p }

// alike is an error that is another one without wrapping it.
type alike struct{ error }

func (a *alike) Is(target error) bool { return target == a.error }

// returnsAtTheEnd is a task that waits for the end of its context and returns what f makes of it.
func returnsAtTheEnd(f func(ctx context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		return f(ctx)
	}
}

// dial asks the net package for its kind of cancellation.
func dial(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:1")
	if err == nil {
		err = conn.Close()
	}
	return err
}

// nested is a group inside of a task whose tasks stop because of the end of ctx.
func nested(ctx context.Context) error {
	return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		g.Go(untilDone)
		g.Go(untilDone)
		return nil
	})
}

// nestedFailing is a group inside of a task one of whose tasks fails after the end of ctx.
func nestedFailing(ctx context.Context) error {
	return taskgroup.Run(ctx, func(ctx context.Context, g *taskgroup.Group) error {
		_ = untilDone(ctx)
		return errB
	})
}

// echoes are errors that say nothing but that the context has ended, and others.
var echoes = map[string]struct {
	err  func(context.Context) error
	echo bool
}{
	"the context's error":             {context.Context.Err, true},
	"the context's cause":             {context.Cause, true},
	"Canceled":                        {func(context.Context) error { return context.Canceled }, true},
	"wrapped":                         {func(ctx context.Context) error { return fmt.Errorf("load: %w", ctx.Err()) }, true},
	"wrapped twice":                   {func(ctx context.Context) error { return fmt.Errorf("b: %w", fmt.Errorf("a: %w", context.Cause(ctx))) }, true},
	"as an HTTP client wraps it":      {func(ctx context.Context) error { return &url.Error{Op: "Get", Err: context.Cause(ctx)} }, true},
	"of a dialer":                     {dial, true},
	"joined with another of its kind": {func(ctx context.Context) error { return errors.Join(ctx.Err(), context.Cause(ctx)) }, true},
	"with two %w of its kind":         {func(ctx context.Context) error { return fmt.Errorf("%w, %w", ctx.Err(), context.Canceled) }, true},
	"alike":                           {func(ctx context.Context) error { return &alike{ctx.Err()} }, true},
	"of a nested group":               {nested, true},

	"another error":                      {func(context.Context) error { return errB }, false},
	"joined with another":                {func(ctx context.Context) error { return errors.Join(ctx.Err(), errB) }, false},
	"joined with another below":          {func(ctx context.Context) error { return errors.Join(ctx.Err(), fmt.Errorf("x: %w", errors.Join(errB))) }, false},
	"with %w of another":                 {func(ctx context.Context) error { return fmt.Errorf("%w, %w", ctx.Err(), errB) }, false},
	"mentioned but not wrapped":          {func(ctx context.Context) error { return errors.New("load: " + ctx.Err().Error()) }, false},
	"a timeout that is not the group's":  {func(context.Context) error { return os.ErrDeadlineExceeded }, false},
	"joined without parts":               {func(context.Context) error { return withParts{} }, false},
	"not to be compared":                 {func(context.Context) error { return list{"x"} }, false},
	"of a nested group with a failure":   {nestedFailing, false},
	"of a nested group, dropped":         {func(ctx context.Context) error { return &taskgroup.Error{Cause: ctx.Err(), Dropped: 1} }, false},
	"a panic with the context's error":   {func(ctx context.Context) error { return &taskgroup.PanicError{Value: ctx.Err()} }, false},
	"a status that nobody told us about": {func(context.Context) error { return status(1) }, false},
	"why another group was cancelled":    {func(context.Context) error { return &taskgroup.CancelError{Cause: errB} }, false},
	"that another group was stopped":     {func(context.Context) error { return &taskgroup.CancelError{Cause: taskgroup.ErrStopped} }, true},
}

func TestEchoSaysNothingButThatTheContextHasEnded(t *testing.T) {
	ends := map[string]struct {
		end   func(*testing.T, *taskgroup.Group, context.CancelCauseFunc)
		cause error
	}{
		"Cancel":   {func(_ *testing.T, g *taskgroup.Group, _ context.CancelCauseFunc) { g.Cancel(errA) }, errA},
		"a parent": {func(_ *testing.T, _ *taskgroup.Group, cancel context.CancelCauseFunc) { cancel(errA) }, errA},
		"a deadline": {func(*testing.T, *taskgroup.Group, context.CancelCauseFunc) {
			time.Sleep(time.Second)
		}, context.DeadlineExceeded},
	}
	for end, by := range ends {
		for name, c := range echoes {
			t.Run(end+"/"+name, func(t *testing.T) {
				bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
					ctx, expire := context.WithTimeout(ctx, time.Second)
					defer expire()
					ctx, cancel := context.WithCancelCause(ctx)
					g := taskgroup.New(ctx)
					g.Go(returnsAtTheEnd(c.err))
					synctest.Wait()
					by.end(t, g, cancel)
					synctest.Wait()
					e := failed(t, g.Wait())
					require.Equal(t, by.cause, e.Cause)
					if c.echo {
						require.Equal(t, 1, e.Canceled, "counted")
						require.Empty(t, e.Tasks, "and not listed")
					} else {
						require.Zero(t, e.Canceled)
						require.Len(t, e.Tasks, 1, "listed, even after the cancellation")
					}
				})
			})
		}
	}
}

func TestDeadlineExceededIsAnEchoOfADeadlineOnly(t *testing.T) {
	for deadline, echo := range map[time.Duration]bool{time.Second: true, time.Hour: false} {
		bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
			ctx, cancel := context.WithTimeout(ctx, deadline)
			defer cancel()
			g := taskgroup.New(ctx)
			g.Go(returnsAtTheEnd(func(context.Context) error { return fmt.Errorf("late: %w", context.DeadlineExceeded) }))
			time.Sleep(time.Minute)
			g.Cancel(errA)
			e := failed(t, g.Wait())
			if echo {
				require.Empty(t, e.Tasks)
			} else {
				require.Len(t, e.Tasks, 1)
			}
		})
	}
}

// A parent's cause is whatever somebody passed to its cancel function, such as what an errors.Join or another group
// made. net/http returns it as it is.
func TestCauseOfTheParentIsAnEchoWhateverItIs(t *testing.T) {
	for name, cause := range map[string]error{
		"an error":             errA,
		"a wrapper":            fmt.Errorf("shutting down: %w", errA),
		"a join":               errors.Join(errA, errB),
		"two %w":               fmt.Errorf("%w: %w", errA, errB),
		"a group's error":      taskgroup.Run(t.Context(), func(context.Context, *taskgroup.Group) error { return errA }),
		"a panic":              &taskgroup.PanicError{Value: "boom"},
		"a named cancellation": &taskgroup.CancelError{Group: "outer", Cause: errA},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
				ctx, cancel := context.WithCancelCause(ctx)
				g := taskgroup.New(ctx)
				g.Go(returnsAtTheEnd(context.Cause))
				g.Go(returnsAtTheEnd(func(ctx context.Context) error {
					return &url.Error{Op: "Get", URL: "http://b", Err: context.Cause(ctx)}
				}))
				g.Go(returnsAtTheEnd(func(ctx context.Context) error {
					return errors.Join(ctx.Err(), context.Cause(ctx))
				}))
				synctest.Wait()
				cancel(cause)
				e := failed(t, g.Wait())
				require.Same(t, cause, e.Cause)
				require.Equal(t, 3, e.Canceled)
				require.Empty(t, e.Tasks)
			})
		})
	}
}

func TestCauseThatCannotBeComparedIsNoTrouble(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithCancelCause(ctx)
		g := taskgroup.New(ctx)
		g.Go(returnsAtTheEnd(context.Cause))
		g.Go(untilDone)
		synctest.Wait()
		cancel(list{"x"})
		e := failed(t, g.Wait())
		require.Equal(t, list{"x"}, e.Cause)
		require.Equal(t, 2, e.Canceled+len(e.Tasks))
	})
}

func TestCauseOfASiblingIsAnEchoOnlyAsACancellation(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx)
		g.Go(after(10*ms, errA))
		g.Go(returnsAtTheEnd(context.Cause))
		g.Go(returnsAtTheEnd(func(context.Context) error { return errA })) // its own failure, of the same kind
		e := failed(t, g.Wait())
		require.Equal(t, []error{errA, errA}, errorsOf(e))
		require.Equal(t, 1, e.Canceled)
	})
}

func TestCanceledFromALiveGroupIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(func(ctx context.Context) error {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(10*ms, cancel)
				return untilDone(ctx) // the end of a context of its own
			})
			g.Go(untilDone)
			return nil
		})
		require.Equal(t, 10*ms, now())
		e := failed(t, err)
		require.Equal(t, []error{context.Canceled}, errorsOf(e))
		require.Equal(t, context.Canceled, e.Cause)
		require.Equal(t, 1, e.Canceled)
	})
}

func TestTimeoutOfATasksOwnIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, 10*ms)
				defer cancel()
				return untilDone(ctx)
			})
			return nil
		})
		require.Equal(t, []error{context.DeadlineExceeded}, errorsOf(failed(t, err)))
	})
}

func TestEchoIsCountedUnderKeepGoing(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, 10*ms)
		defer cancel()
		err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(untilDone)
			g.Go(untilDone)
			g.Go(returnsAtTheEnd(func(context.Context) error { return errA }))
			return nil
		}, taskgroup.KeepGoing())
		e := failed(t, err)
		require.Equal(t, 2, e.Canceled)
		require.Equal(t, []error{errA}, errorsOf(e))
	})
}

func TestCancellationRecognizesEchoes(t *testing.T) {
	for _, c := range []struct {
		err  error
		echo bool
	}{
		{status(1), true},
		{fmt.Errorf("call: %w", status(1)), true},
		{errors.Join(status(1), context.Canceled), true},
		{status(2), false},
		{errors.Join(status(1), status(2)), false},
	} {
		bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
			g := taskgroup.New(ctx, taskgroup.Cancellation(isCancelStatus))
			g.Go(returnsAtTheEnd(func(context.Context) error { return c.err }))
			synctest.Wait()
			g.Cancel(errA)
			e := failed(t, g.Wait())
			require.Equal(t, c.echo, e.Canceled == 1, "%v", c.err)
			require.Equal(t, !c.echo, len(e.Tasks) == 1, "%v", c.err)
		})
	}
}

func TestCancellationIsNotAskedWhileTheContextIsAlive(t *testing.T) {
	g := taskgroup.New(t.Context(), taskgroup.Cancellation(func(error) bool { panic("asked") }))
	g.Go(after(0, status(1)))
	require.Equal(t, []error{status(1)}, errorsOf(failed(t, g.Wait())))
}

func TestMissingPartsOfAJoinedErrorAreNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, _ func() time.Duration) {
		g := taskgroup.New(ctx, taskgroup.Cancellation(func(err error) bool {
			if err == nil {
				t.Error("asked about no error")
			}
			return false
		}))
		g.Go(returnsAtTheEnd(func(ctx context.Context) error { return withParts{ctx.Err(), nil} }))
		synctest.Wait()
		g.Cancel(errA)
		require.Equal(t, 1, failed(t, g.Wait()).Canceled)
	})
}
