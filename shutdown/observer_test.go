package shutdown_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

// observed notes in the journal what hooks are told.
func (w *world) observed() *shutdown.Hooks {
	return &shutdown.Hooks{
		PhaseBegan: func(p shutdown.PhaseInfo) { w.note("%v", p.Phase) },
		PhaseEnded: func(p shutdown.PhaseInfo) {
			if p.Took > 0 {
				w.note("%v took %v", p.Phase, p.Took)
			}
		},
		StepBegan: func(s shutdown.Step) { w.note("%s.%s", s.Component, s.Hook) },
		StepEnded: func(s shutdown.Step) {
			w.note("%s.%s took %v: %v, stuck %v", s.Component, s.Hook, s.Took, s.Err, s.Stuck)
			if s.Stuck != (s.Stack != nil) {
				panic("a step has a stack if it is stuck")
			}
		},
	}
}

func TestHooksAreToldOfPhasesAndSteps(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		never := make(trap)
		defer close(never)
		w.Observe(w.observed())
		w.Observe(nil)
		w.Add(shutdown.Component{
			Name: "a", Phase: shutdown.Work, StopTimeout: 2 * time.Second,
			Start: func(context.Context) error { time.Sleep(time.Second / 2); return nil },
			Stop:  never.fall,
			Kill:  func() error { return errors.New("no way") },
		})
		require.Error(t, w.run())
		w.requireJournal(
			"a.Start at 0s", "a.Start took 500ms: <nil>, stuck false at 500ms",
			"Announce at 1s", "Intake at 1s", "InFlight at 1s", "Work at 1s",
			"a.Stop at 1s", "a.Stop took 3s: <nil>, stuck true at 4s",
			"a.Kill at 4s", "a.Kill took 0s: no way, stuck false at 4s",
			"Work took 3s at 4s", "Resources at 4s", "Telemetry at 4s",
		)
	})
}

func TestHooksAreToldOfTrackedWorkThatIsStuck(t *testing.T) {
	inWorld(t, shutdown.Config{Timeout: time.Second}, func(t *testing.T, w *world) {
		w.Observe(w.observed())
		_, err := w.Track(t.Context(), "report")
		require.NoError(t, err)
		done, err := w.Track(t.Context(), "mail")
		require.NoError(t, err)
		done()
		require.Error(t, w.run())
		require.Contains(t, w.journal, "report.Track took 1.8s: <nil>, stuck true at 1.8s")
		require.NotContains(t, fmt.Sprint(w.journal), "mail")
	})
}

func TestHookHasItsMomentEvenIfAnObserverHasUsedUpTheTime(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Observe(&shutdown.Hooks{PhaseBegan: func(p shutdown.PhaseInfo) {
			if p.Phase == shutdown.Resources {
				time.Sleep(time.Minute)
			}
		}})
		w.Add(shutdown.Component{Name: "db", Stop: func(ctx context.Context) error {
			<-ctx.Done()
			w.note("out of time")
			return nil
		}})
		require.NoError(t, w.run())
		w.requireJournal("out of time at 1m1.05s")
	})
}

func TestHooksOfTheConfigComeFirst(t *testing.T) {
	var order []string
	record := func(name string) *shutdown.Hooks {
		return &shutdown.Hooks{PhaseBegan: func(p shutdown.PhaseInfo) {
			if p.Phase == shutdown.Announce {
				order = append(order, name)
			}
		}}
	}
	inWorld(t, shutdown.Config{Hooks: record("first")}, func(t *testing.T, w *world) {
		w.Observe(record("second"))
		require.NoError(t, w.run())
		require.Equal(t, []string{"first", "second"}, order)
		require.PanicsWithValue(t, "shutdown: Observe called after Run", func() { w.Observe(nil) })
	})
}

func TestReportShowsWhatTheAppWaitsFor(t *testing.T) {
	inWorld(t, shutdown.Config{Timeout: 10 * time.Second}, func(t *testing.T, w *world) {
		five := func(context.Context) error { time.Sleep(5 * time.Second); return nil }
		w.Add(
			shutdown.Component{Name: "db", Start: five},
			shutdown.Component{Name: "pool", Phase: shutdown.Work, Needs: []string{"db"}, Start: five, Stop: five, Run: func(ctx context.Context) error {
				<-ctx.Done()
				return nil
			}},
		)
		done, err := w.Track(t.Context(), "mail")
		require.NoError(t, err)
		states := func(r *shutdown.Report) (s []string) {
			for _, c := range r.Components {
				s = append(s, c.Name+" "+c.State)
			}
			return s
		}
		running := func(r *shutdown.Report) (s []string) {
			for _, step := range r.Steps {
				if step.Running {
					s = append(s, fmt.Sprint(step.Component, " ", step.Hook, " ", step.Took))
				}
			}
			return s
		}
		require.Nil(t, w.Report().Components)
		var over sync.WaitGroup
		over.Go(func() {
			require.NoError(t, w.Run(t.Context()))
			r := w.Report()
			require.Equal(t, []string{"pool over", "db over"}, states(r))
			require.Empty(t, running(r))
			require.Equal(t, 6*time.Second, r.Took)
		})
		time.Sleep(time.Second)
		r := w.Report()
		require.Equal(t, []string{"pool waiting", "db starting"}, states(r))
		require.Equal(t, []string{"db Start 1s", "mail Track 1s"}, running(r))
		require.Empty(t, r.Phases)
		require.Zero(t, r.Deadline)
		time.Sleep(10 * time.Second)
		r = w.Report()
		require.Equal(t, []string{"pool up", "db up"}, states(r))
		require.Equal(t, []string{"mail Track 11s", "pool Run 1s"}, running(r))
		w.Shutdown(nil)
		time.Sleep(time.Second)
		r = w.Report()
		require.Equal(t, time.Now().Add(9*time.Second), r.Deadline)
		require.Len(t, r.Phases, 3)
		require.Equal(t, shutdown.PhaseInfo{
			Phase: shutdown.InFlight, Began: time.Now().Add(-time.Second), Deadline: r.Deadline.Add(-2100 * time.Millisecond), Running: true, Took: time.Second,
		}, r.Phases[2])
		require.Equal(t, []string{"mail Track 12s", "pool Run 2s"}, running(r))
		done()
		time.Sleep(time.Second)
		r = w.Report()
		require.Equal(t, []string{"pool stopping", "db up"}, states(r))
		require.Equal(t, []string{"pool Run 3s", "pool Stop 1s"}, running(r))
		over.Wait()
	})
}
