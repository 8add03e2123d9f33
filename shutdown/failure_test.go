package shutdown_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

// A trap is what a hook falls into that never returns, until the test opens it.
type trap chan struct{}

func (t trap) fall(context.Context) error { <-t; return nil }

// helper starts a goroutine and waits for it.
func (t trap) fallThroughAHelper(context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.waitForever()
	}()
	<-done
	return nil
}

func (t trap) waitForever() { <-t }

// step finds the step of a hook in the report of what has happened.
func (w *world) step(component, hook string) shutdown.Step {
	w.t.Helper()
	for _, s := range w.Report().Steps {
		if s.Component == component && s.Hook == hook {
			return s
		}
	}
	require.Fail(w.t, "no such step", "%s %s in %v", component, hook, w.Report().Steps)
	return shutdown.Step{}
}

func TestFailedStartRollsBackInReverseWithFreshContexts(t *testing.T) {
	refused := errors.New("connection refused")
	inWorld(t, shutdown.Config{DrainDelay: time.Minute, Timeout: time.Hour}, func(t *testing.T, w *world) {
		db := w.component("db", 0)
		db.Stop = func(ctx context.Context) error {
			w.note("stop db")
			return ctx.Err()
		}
		cache := w.component("cache", 0, "db")
		broken := w.component("pool", shutdown.Work)
		broken.Start = func(context.Context) error { time.Sleep(time.Second); return refused }
		broken.Run = func(context.Context) error { w.note("run pool"); return nil }
		w.Add(db, cache, broken, w.component("http", shutdown.InFlight))
		err := w.Run(t.Context())
		require.ErrorIs(t, err, refused)
		require.EqualError(t, err, `shutdown: "pool" failed to start: connection refused`)
		require.Equal(t, 1, shutdown.ExitCode(err))
		w.requireJournal("start db at 0s", "start cache at 0s", "stop cache at 1s", "stop db at 1s")
	})
}

func TestStopDuringTheStartInterruptsItAndIsNoFailure(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		slow := w.component("slow", shutdown.Work)
		slow.Start = func(ctx context.Context) error {
			<-ctx.Done()
			require.ErrorIs(t, context.Cause(ctx), shutdown.ErrStopping)
			time.Sleep(time.Second / 2)
			return fmt.Errorf("connect: %w", ctx.Err())
		}
		w.Add(w.component("db", 0), slow, w.component("http", shutdown.InFlight))
		go func() {
			time.Sleep(time.Second)
			w.signals <- syscall.SIGTERM
		}()
		require.NoError(t, w.Run(t.Context()))
		w.requireJournal("start db at 0s", "stop db at 1.5s")
	})
}

func TestStartThatSucceedsAfterAllIsStopped(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		stubborn := w.component("stubborn", 0)
		stubborn.Start = func(context.Context) error { time.Sleep(1500 * time.Millisecond); return nil }
		w.Add(stubborn)
		require.NoError(t, w.run())
		w.requireJournal("stop stubborn at 1.5s")
	})
}

func TestStartThatNeverReturnsIsReportedAndKilled(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		never := make(trap)
		defer close(never)
		stuck := w.component("stuck", shutdown.Work)
		stuck.Start = never.fall
		stuck.Kill = func() error { w.note("kill stuck"); return nil }
		w.Add(w.component("db", 0), stuck)
		err := w.run()
		require.Equal(t, 124, shutdown.ExitCode(err))
		w.requireJournal("start db at 0s", "kill stuck at 2s", "stop db at 2s")
		require.True(t, w.step("stuck", "Start").Stuck)
		require.Contains(t, string(w.step("stuck", "Start").Stack), "shutdown_test.trap.fall")
	})
	// Half of a short budget is left for those that have started.
	inWorld(t, shutdown.Config{Timeout: time.Second}, func(t *testing.T, w *world) {
		never := make(trap)
		defer close(never)
		db := w.component("db", 0)
		db.Stop = func(context.Context) error { time.Sleep(time.Second / 2); w.note("stop db"); return nil }
		w.Add(db, shutdown.Component{Name: "stuck", Phase: shutdown.Work, Start: never.fall})
		require.Equal(t, 124, shutdown.ExitCode(w.run()))
		w.requireJournal("start db at 0s", "stop db at 1.86s")
	})
}

func TestStartTimeoutBoundsTheStart(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		slow := w.component("slow", 0)
		slow.StartTimeout = 3 * time.Second
		slow.Start = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		w.Add(slow)
		err := w.Run(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, `shutdown: "slow" failed to start: context deadline exceeded`)
		require.Equal(t, 3*time.Second, w.elapsed())
	})
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		never := make(trap)
		defer close(never)
		w.Add(shutdown.Component{Name: "stuck", StartTimeout: 3 * time.Second, Start: never.fall})
		err := w.Run(t.Context())
		require.Equal(t, 124, shutdown.ExitCode(err))
		require.Equal(t, `"stuck" did not start`, w.Report().Reason)
		require.Equal(t, 4*time.Second, w.elapsed())
	})
}

func TestStopTimeoutBoundsTheStop(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(shutdown.Component{Name: "slow", StopTimeout: 3 * time.Second, Stop: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		err := w.run()
		require.EqualError(t, err, "shutdown: Shutdown was called\nslow (Resources): Stop: context deadline exceeded")
		require.Equal(t, 4*time.Second, w.elapsed())
		require.Equal(t, 1, shutdown.ExitCode(err))
	})
}

func TestStuckHookIsReportedKilledAndNotAwaited(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		never := make(trap)
		defer close(never)
		stuck := w.component("queue", shutdown.Work)
		stuck.StopTimeout = 3 * time.Second
		stuck.Stop = never.fallThroughAHelper
		stuck.Run = func(ctx context.Context) error {
			<-ctx.Done()
			w.note("hard")
			return nil
		}
		stuck.Kill = func() error { w.note("kill"); return errors.New("no way") }
		w.Add(stuck, w.component("db", 0))
		err := w.run()
		w.requireJournal("start db at 0s", "start queue at 0s", "hard at 4s", "kill at 5s", "stop db at 5s")
		require.Equal(t, 124, shutdown.ExitCode(err))

		s := w.step("queue", "Stop")
		require.True(t, s.Stuck)
		require.Equal(t, 4*time.Second, s.Took)
		require.Contains(t, string(s.Stack), "shutdown_test.trap.fallThroughAHelper")
		require.Contains(t, string(s.Stack), "shutdown_test.trap.waitForever", "goroutines that the hook started")
		require.EqualError(t, w.step("queue", "Kill").Err, "no way")

		lines := strings.Split(err.Error(), "\n")
		require.Equal(t, []string{"shutdown: Shutdown was called", "queue (Work): Stop is stuck after 4s"}, lines[:2])
		require.Regexp(t, `^\tgoroutine \d+ `, lines[2])
		require.Contains(t, err.Error(), "failure_test.go:", "the line that hangs")
		require.Equal(t, "queue (Work): Kill: no way", lines[len(lines)-1])
	})
}

func TestRunThatDoesNotEndIsStuckToo(t *testing.T) {
	for name, stop := range map[string]func(context.Context) error{
		"with Stop":    func(context.Context) error { return nil },
		"without Stop": nil,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
				never := make(trap)
				defer close(never)
				w.Add(shutdown.Component{Name: "loop", StopTimeout: 3 * time.Second, Run: never.fall, Stop: stop})
				require.Equal(t, 124, shutdown.ExitCode(w.run()))
				require.True(t, w.step("loop", "Run").Stuck)
				if stop != nil {
					require.Equal(t, 2*time.Second, w.elapsed(), "a second after Stop has returned")
				} else {
					require.Equal(t, 5*time.Second, w.elapsed(), "a second after its time is up")
				}
			})
		})
	}
}

func TestKillIsNotTrusted(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		never := make(trap)
		defer close(never)
		w.Add(shutdown.Component{
			Name: "queue", StopTimeout: 3 * time.Second, Stop: never.fall,
			Kill: func() error { return never.fall(t.Context()) },
		})
		require.Equal(t, 124, shutdown.ExitCode(w.run()))
		require.Equal(t, 5100*time.Millisecond, w.elapsed())
		require.True(t, w.step("queue", "Kill").Stuck)
	})
}

func TestPhasesBeforeResourcesLeaveTheReserve(t *testing.T) {
	inWorld(t, shutdown.Config{Timeout: 30 * time.Second, Reserve: 10 * time.Second}, func(t *testing.T, w *world) {
		never := make(trap)
		defer close(never)
		w.Add(shutdown.Component{Name: "queue", Phase: shutdown.Work, Stop: never.fall, Kill: func() error { w.note("kill"); return nil }})
		w.Add(w.component("db", 0))
		require.Error(t, w.run())
		// Kill is called 0.1 s before the phases end, and did not need them.
		w.requireJournal("start db at 0s", "kill at 20.9s", "stop db at 20.9s")
	})
}

func TestEveryHookIsCalledEvenIfThoseBeforeHaveUsedUpTheTime(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		never := make(trap)
		defer close(never)
		var called atomic.Int32
		for phase := shutdown.Announce; phase <= shutdown.Telemetry; phase++ {
			var needs []string
			for i := range 3 {
				name := fmt.Sprint(phase, i)
				w.Add(shutdown.Component{Name: name, Phase: phase, Needs: needs, Stop: func(ctx context.Context) error {
					require.NoError(t, ctx.Err())
					called.Add(1)
					return never.fall(ctx)
				}})
				needs = []string{name}
			}
		}
		require.Equal(t, 124, shutdown.ExitCode(w.run()))
		require.EqualValues(t, 18, called.Load())
		require.LessOrEqual(t, w.elapsed(), 26*time.Second)
		require.Greater(t, w.elapsed(), 25*time.Second)
	})
}

func TestPanicInAHookIsItsFailure(t *testing.T) {
	for _, hook := range []string{"Start", "Run", "Stop", "Kill"} {
		t.Run(hook, func(t *testing.T) {
			inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
				never := make(trap)
				defer close(never)
				c := shutdown.Component{Name: "a"}
				boom := func(context.Context) error { panic("boom") }
				switch hook {
				case "Start":
					c.Start = boom
				case "Run":
					c.Run = boom
				case "Stop":
					c.Stop = boom
				case "Kill":
					c.Stop = never.fall
					c.Kill = func() error { return boom(t.Context()) }
				}
				w.Add(c, w.component("db", shutdown.Telemetry))
				err := w.run()
				require.Error(t, err)
				var p *shutdown.PanicError
				require.ErrorAs(t, w.step("a", hook).Err, &p)
				require.ErrorAs(t, err, &p)
				require.Equal(t, "boom", p.Value)
				require.Equal(t, "a."+hook, p.Task)
				require.Contains(t, string(p.Stack), "TestPanicInAHookIsItsFailure")
				require.Contains(t, w.journal[len(w.journal)-1], "stop db")
			})
		})
	}
}

func TestGoexitInAHookIsItsFailure(t *testing.T) {
	for _, hook := range []string{"Start", "Run", "Stop"} {
		t.Run(hook, func(t *testing.T) {
			inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
				exit := func(context.Context) error { runtime.Goexit(); return nil }
				c := shutdown.Component{Name: "a"}
				switch hook {
				case "Start":
					c.Start = exit
				case "Run":
					c.Run = exit
				case "Stop":
					c.Stop = exit
				}
				w.Add(c)
				err := w.run()
				require.EqualError(t, w.step("a", hook).Err, "runtime.Goexit was called")
				require.Equal(t, 1, shutdown.ExitCode(err))
			})
		})
	}
}

func TestReportHasEveryStepAlsoOfACleanStop(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(shutdown.Component{
			Name: "a", Phase: shutdown.Work,
			Start: func(context.Context) error { time.Sleep(time.Second); return nil },
			Run:   func(ctx context.Context) error { <-ctx.Done(); return nil },
			Stop:  func(context.Context) error { time.Sleep(2 * time.Second); return nil },
		})
		require.Empty(t, w.Report().Steps)
		go func() {
			time.Sleep(5 * time.Second)
			w.Shutdown(nil)
		}()
		require.NoError(t, w.Run(t.Context()))
		at := func(d time.Duration) time.Time { return w.began.Add(d) }
		var phases []shutdown.PhaseInfo
		for i, ms := range []int{24800, 24800, 24900, 25000, 30000, 30000} {
			p := shutdown.PhaseInfo{Phase: shutdown.Announce + shutdown.Phase(i), Began: at(7 * time.Second), Deadline: at(time.Duration(ms) * time.Millisecond)}
			if p.Phase <= shutdown.Work {
				p.Began = at(5 * time.Second)
			}
			if p.Phase == shutdown.Work {
				p.Took = 2 * time.Second
			}
			phases = append(phases, p)
		}
		require.Equal(t, &shutdown.Report{
			Reason: "Shutdown was called", Took: 2 * time.Second, Deadline: at(30 * time.Second),
			Phases:     phases,
			Components: []shutdown.ComponentInfo{{Name: "a", Phase: shutdown.Work, State: "over"}},
			Steps: []shutdown.Step{
				{Component: "a", Phase: shutdown.Work, Hook: "Start", Began: at(0), Took: time.Second},
				{Component: "a", Phase: shutdown.Work, Hook: "Run", Began: at(time.Second), Took: 6 * time.Second},
				{Component: "a", Phase: shutdown.Work, Hook: "Stop", Began: at(5 * time.Second), Took: 2 * time.Second},
			},
		}, w.Report())
		require.Equal(t, 0, shutdown.ExitCode(w.Report()))
	})
}

func TestExitCode(t *testing.T) {
	stuck := shutdown.Step{Stuck: true}
	failed := shutdown.Step{Err: errors.New("broken")}
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("broken"), 1},
		{&shutdown.Report{}, 0},
		{&shutdown.Report{Cause: errors.New("broken")}, 1},
		{&shutdown.Report{Steps: []shutdown.Step{failed}}, 1},
		{&shutdown.Report{Steps: []shutdown.Step{failed, stuck}}, 124},
		{&shutdown.Report{Steps: []shutdown.Step{stuck}, Forced: syscall.SIGTERM}, 143},
		{fmt.Errorf("main: %w", &shutdown.Report{Forced: syscall.SIGINT}), 130},
	} {
		require.Equal(t, c.code, shutdown.ExitCode(c.err), "%v", c.err)
	}
}

func TestReportTellsOfEveryFailureOnceEvenIfTheyWrapTheSameError(t *testing.T) {
	flush := func(context.Context) error { return fmt.Errorf("lost 7 records: %w", io.ErrUnexpectedEOF) }
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(shutdown.Component{Name: "consumer", Stop: flush})
		time.AfterFunc(time.Second, func() { w.Shutdown(io.ErrUnexpectedEOF) })
		require.EqualError(t, w.Run(t.Context()), "shutdown: Shutdown was called: unexpected EOF\n"+
			"consumer (Resources): Stop: lost 7 records: unexpected EOF")
	})
	fails := func(context.Context) error { return io.ErrUnexpectedEOF }
	for _, c := range []struct {
		worker shutdown.Component
		how    string
	}{
		{shutdown.Component{Run: fails}, "failed"},
		{shutdown.Component{Start: fails}, "failed to start"},
	} {
		inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
			c.worker.Name, c.worker.Needs = "worker", []string{"writer"}
			w.Add(c.worker, shutdown.Component{Name: "writer", Run: func(ctx context.Context) error {
				<-ctx.Done()
				return flush(ctx)
			}})
			require.EqualError(t, w.Run(t.Context()), `shutdown: "worker" `+c.how+": unexpected EOF\n"+
				"writer (Resources): Run: lost 7 records: unexpected EOF", "which began before the worker did")
		})
	}
}

func TestReportUnwrapsToTheCauseAndTheErrorsOfItsSteps(t *testing.T) {
	a, b, c := errors.New("a"), errors.New("b"), errors.New("c")
	r := &shutdown.Report{Cause: a, Steps: []shutdown.Step{{Err: b}, {}, {Err: c}}}
	for _, err := range []error{a, b, c} {
		require.ErrorIs(t, r, err)
	}
}
