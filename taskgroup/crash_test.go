package taskgroup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

const childVariable = "GROVE_TASKGROUP_CHILD"

// inChild reports whether the test runs in a process of its own, which inProcess has started.
func inChild() bool { return os.Getenv(childVariable) != "" }

// inProcess runs the calling test again in a process of its own, and returns how that ended and what it printed.
func inProcess(t *testing.T) (output string, err error) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), childVariable+"=1", "GOTRACEBACK=single", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// requireCrash runs the calling test in a process of its own, which has to die of a panic in culprit.
func requireCrash(t *testing.T, value string) (output string) {
	t.Helper()
	output, err := inProcess(t)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, output)
	require.Equal(t, 2, exit.ExitCode(), output)
	require.NotContains(t, output, "panic: test timed out")
	i := strings.Index(output, "panic: "+value)
	require.GreaterOrEqual(t, i, 0, output)
	require.Contains(t, output[i:], "taskgroup_test.culprit(", "the frames that tell why")
	return output
}

func TestCrashLetsAPanicEndTheProcess(t *testing.T) {
	if inChild() {
		synctest.Test(t, func(t *testing.T) {
			g := taskgroup.New(t.Context(), taskgroup.OnPanic(taskgroup.Crash))
			g.Go(panics(0, "boom"))
			g.Go(after(time.Nanosecond, nil))
			_ = g.Wait()
			fmt.Println("survived")
		})
		return
	}
	require.NotContains(t, requireCrash(t, "boom"), "survived")
}

func TestPanicThatNobodyTakesGoesOnInPlaceAfter30Seconds(t *testing.T) {
	if inChild() {
		synctest.Test(t, func(t *testing.T) {
			g := taskgroup.New(t.Context())
			g.Go(panics(0, "boom"))
			time.Sleep(30*time.Second - 1)
			fmt.Println("waiting")
			time.Sleep(2 * time.Nanosecond)
			fmt.Println("survived")
		})
		return
	}
	output := requireCrash(t, "boom")
	require.Contains(t, output, "waiting")
	require.NotContains(t, output, "survived")
}

func TestTaskThatHangsHoldsAPanicBackFor30SecondsAtMost(t *testing.T) {
	if inChild() {
		synctest.Test(t, func(t *testing.T) {
			g := taskgroup.New(t.Context())
			g.Go(panics(ms, errA))
			g.Go(after(time.Hour, nil))
			time.AfterFunc(30*time.Second+ms-1, func() { fmt.Println("waiting") })
			time.AfterFunc(30*time.Second+ms+1, func() { fmt.Println("survived") })
			_ = g.Wait()
		})
		return
	}
	output := requireCrash(t, errA.Error())
	require.Contains(t, output, "waiting")
	require.NotContains(t, output, "survived")
}

func TestPanicOfABackgroundTaskIsKeptLikeOthers(t *testing.T) {
	if inChild() {
		synctest.Test(t, func(t *testing.T) {
			g := taskgroup.New(t.Context())
			g.Start(taskgroup.Task{Background: true, Func: panics(0, "boom")})
			time.Sleep(30*time.Second + 1)
			fmt.Println("survived")
		})
		return
	}
	require.NotContains(t, requireCrash(t, "boom"), "survived")
}

func TestPanicThatTheOwnerLetsFlyShowsTheFramesOfTheTask(t *testing.T) {
	if inChild() {
		_ = taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
			g.Start(taskgroup.Task{Name: "load", Func: panics(0, "boom")})
			return nil
		})
		return
	}
	output, err := inProcess(t)
	require.Error(t, err)
	require.Contains(t, output, "panic in load: boom")
	require.Contains(t, output, "taskgroup_test.culprit(")
}

func TestFailNowInATaskEndsTheTest(t *testing.T) {
	if inChild() {
		_ = taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
			g.Go(func(context.Context) error {
				require.Fail(t, "said by the task")
				return nil
			})
			return nil
		})
		fmt.Println("survived")
		return
	}
	output, err := inProcess(t)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 1, exit.ExitCode(), output)
	require.Contains(t, output, "said by the task")
	require.Contains(t, output, "--- FAIL: TestFailNowInATaskEndsTheTest")
	require.NotContains(t, output, "survived")
}

func TestSkipNowInATaskSkipsTheTest(t *testing.T) {
	if inChild() {
		_ = taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
			g.Go(func(context.Context) error {
				t.Skip("said by the task")
				return nil
			})
			return nil
		})
		fmt.Println("survived")
		return
	}
	output, err := inProcess(t)
	require.NoError(t, err)
	require.Contains(t, output, "--- SKIP: TestSkipNowInATaskSkipsTheTest")
	require.NotContains(t, output, "survived")
}

// fragile is an error that panics, or worse, when somebody looks into it.
type fragile func() error

func (fragile) Error() string   { return "fragile" }
func (f fragile) Unwrap() error { return f() }

func TestErrorThatPanicsWhenLookedIntoIsAPanicOfItsTask(t *testing.T) {
	if inChild() {
		for _, opt := range []taskgroup.Option{
			taskgroup.Name("the error"),
			taskgroup.Cancellation(func(error) bool { panic("boom") }),
		} {
			synctest.Test(t, func(t *testing.T) {
				g := taskgroup.New(t.Context(), opt)
				g.Go(returnsAtTheEnd(func(context.Context) error { return fragile(func() error { panic("boom") }) }))
				synctest.Wait()
				g.Cancel(nil)
				require.Equal(t, "boom", panicOf(t, g.Wait).Value)
			})
		}
		return
	}
	output, err := inProcess(t)
	require.NoError(t, err, output)
}

func TestErrorThatPanicsWhenLookedIntoLeavesNothingBehindInTheBody(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, now func() time.Duration) {
		e := end(func() error {
			return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Go(after(10*ms, nil))
				synctest.Wait()
				g.Cancel(nil)
				return fragile(func() error { panic("boom") })
			})
		})
		require.Equal(t, "boom", e.panicked)
		require.Equal(t, 10*ms, now(), "it is a panic of the body: the tasks have ended")
	})
}

func TestErrorThatExitsWhenLookedIntoIsAGoexitOfItsTask(t *testing.T) {
	if inChild() {
		synctest.Test(t, func(t *testing.T) {
			g := taskgroup.New(t.Context())
			g.Go(returnsAtTheEnd(func(context.Context) error {
				return fragile(func() error {
					goexit()
					return errors.New("never")
				})
			}))
			synctest.Wait()
			g.Cancel(nil)
			require.True(t, end(g.Wait).goexit)
		})
		return
	}
	output, err := inProcess(t)
	require.NoError(t, err, output)
}
