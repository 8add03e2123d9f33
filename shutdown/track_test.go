package shutdown_test

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

func TestTrackedWorkIsWaitedForInFlight(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(w.component("consumer", shutdown.Intake), w.component("db", 0))
		for _, d := range []time.Duration{2 * time.Second, 4 * time.Second} {
			done, err := w.Track(t.Context(), "write-back")
			require.NoError(t, err)
			time.AfterFunc(d, done)
			time.AfterFunc(d+time.Second, done) // once more does no harm
		}
		require.NoError(t, w.run())
		w.requireJournal("start db at 0s", "start consumer at 0s", "stop consumer at 1s", "stop db at 4s")
		require.Len(t, w.Report().Steps, 4, "what went well has no steps")
		time.Sleep(time.Second)
	})
}

func TestTrackRefusesWorkOnceIntakeIsClosed(t *testing.T) {
	inWorld(t, shutdown.Config{DrainDelay: time.Second}, func(t *testing.T, w *world) {
		try := func() error {
			done, err := w.Track(t.Context(), "work")
			if err == nil {
				done()
			}
			return err
		}
		w.Add(
			shutdown.Component{Name: "announce", Phase: shutdown.Announce, Stop: func(context.Context) error { return try() }},
			shutdown.Component{Name: "intake", Phase: shutdown.Intake, Stop: func(context.Context) error { return try() }},
			shutdown.Component{Name: "inflight", Phase: shutdown.InFlight, Stop: func(context.Context) error {
				if !errors.Is(try(), shutdown.ErrStopping) {
					return errors.New("not refused")
				}
				return nil
			}},
		)
		require.NoError(t, try())
		require.NoError(t, w.run())
		require.ErrorIs(t, try(), shutdown.ErrStopping)
	})
}

func TestTrackRefusesARequestThatTheAppHasGivenUpOn(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		p := newPipes()
		late := make(chan error, 1)
		c := shutdown.HTTP("http", &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Second)
			_, err := w.Track(r.Context(), "write-back")
			late <- err
		})}, p)
		c.StopTimeout = time.Second
		w.Add(c)
		done, err := w.Track(t.Context(), "mail")
		require.NoError(t, err)
		time.AfterFunc(5*time.Second, done)
		w.clients.Go(func() { p.dial(t).get() })
		require.Equal(t, 124, shutdown.ExitCode(w.run()))
		require.Equal(t, 5*time.Second, w.elapsed())
		require.ErrorIs(t, <-late, shutdown.ErrStopping)
	})
}

func writeBack(w *world) {
	_, err := w.Track(w.t.Context(), "write-back")
	require.NoError(w.t, err)
}

func TestTrackedWorkThatDoesNotEndIsReportedByName(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Add(w.component("db", 0))
		writeBack(w)
		err := w.run()
		require.Equal(t, 124, shutdown.ExitCode(err))
		w.requireJournal("start db at 0s", "stop db at 21s")
		s := w.step("write-back", "Track")
		require.True(t, s.Stuck)
		require.Equal(t, shutdown.InFlight, s.Phase)
		require.Equal(t, 21*time.Second, s.Took)
		require.Regexp(t, `^tracked by\n.*shutdown_test\.writeBack\(\.\.\.\)\n\t.*track_test\.go:\d+\n`, string(s.Stack))
	})
}

func TestSecondSignalLeavesTrackedWorkASecond(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		_, err := w.Track(t.Context(), "write-back")
		require.NoError(t, err)
		w.send(syscall.SIGTERM, time.Second)
		w.send(syscall.SIGTERM, 3*time.Second)
		require.Equal(t, 124, shutdown.ExitCode(w.Run(t.Context())))
		require.Equal(t, 4*time.Second, w.elapsed())
	})
}

func TestThirdSignalReportsTrackedWork(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		done, err := w.Track(t.Context(), "write-back")
		require.NoError(t, err)
		for i := range 3 {
			w.send(syscall.SIGTERM, time.Duration(i+1)*600*time.Millisecond)
		}
		require.ErrorContains(t, w.Run(t.Context()), "\nwrite-back (InFlight): Track is stuck after 1.8s\n\ttracked by")
		<-w.exits
		done()
	})
}
