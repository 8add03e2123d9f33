package shutdown_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

// send delivers a signal at a moment, counted from the beginning of the bubble.
func (w *world) send(sig os.Signal, at time.Duration) {
	go func() {
		time.Sleep(at - w.elapsed())
		w.signals <- sig
	}()
}

func TestSignalWithinHalfASecondIsAnEcho(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		c := w.component("a", 0)
		c.Stop = func(ctx context.Context) error {
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
			}
			return nil
		}
		w.Add(c)
		w.send(syscall.SIGINT, time.Second)
		w.send(syscall.SIGTERM, time.Second+1)
		w.send(syscall.SIGINT, 1499*time.Millisecond)
		require.NoError(t, w.Run(t.Context()))
		require.Equal(t, 6*time.Second, w.elapsed())
		require.Equal(t, "signal interrupt", w.Report().Reason)
	})
}

func TestSecondSignalEndsTheDrainDelayAndTheTimeOfHooks(t *testing.T) {
	inWorld(t, shutdown.Config{DrainDelay: 10 * time.Second}, func(t *testing.T, w *world) {
		w.Add(w.component("consumer", shutdown.Intake))
		w.send(syscall.SIGTERM, time.Second)
		w.send(syscall.SIGTERM, 1500*time.Millisecond)
		require.NoError(t, w.Run(t.Context()))
		w.requireJournal("start consumer at 0s", "stop consumer at 1.5s")
	})
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		slow := func(name string, phase shutdown.Phase) shutdown.Component {
			return shutdown.Component{Name: name, Phase: phase, Stop: func(ctx context.Context) error {
				<-ctx.Done()
				w.note("%s has no time", name)
				time.Sleep(time.Second / 2)
				return nil
			}}
		}
		never := make(trap)
		defer close(never)
		w.Add(slow("rpc", shutdown.InFlight), slow("pool", shutdown.Work), w.component("db", 0))
		w.Add(shutdown.Component{Name: "stuck", Phase: shutdown.InFlight, Stop: never.fall})
		w.send(syscall.SIGTERM, time.Second)
		w.send(syscall.SIGTERM, 3*time.Second)
		require.Equal(t, 124, shutdown.ExitCode(w.Run(t.Context())))
		// stuck holds its phase up for a second after the signal, pool has a second.
		w.requireJournal("start db at 0s", "rpc has no time at 3s", "pool has no time at 5s", "stop db at 5.5s")
	})
}

func TestThirdSignalExitsWithTheReport(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		never := make(trap)
		w.Add(shutdown.Component{Name: "a", Stop: never.fall}, w.component("b", shutdown.Telemetry))
		w.send(syscall.SIGTERM, time.Second)
		w.send(syscall.SIGTERM, 1500*time.Millisecond)
		w.send(syscall.SIGINT, 2000*time.Millisecond)
		err := w.Run(t.Context())
		require.Equal(t, 2*time.Second, w.elapsed(), "at once")
		require.Equal(t, 130, <-w.exits)
		require.Equal(t, 130, shutdown.ExitCode(err))
		require.ErrorContains(t, err, "shutdown: signal terminated; forced by signal interrupt after 1s\na (Resources): Stop is stuck after 1s\n\tgoroutine ")
		require.ErrorContains(t, err, "trap.fall")

		// Exit does not return outside of tests. Here the stop goes on.
		close(never)
		synctest.Wait()
		w.requireJournal("start b at 0s", "stop b at 2s")
	})
}

func TestSignalsAreCountedFromTheFirstWhateverBeganTheStop(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		c := w.component("a", 0)
		c.Stop = func(ctx context.Context) error {
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
			}
			return nil
		}
		w.Add(c)
		w.send(syscall.SIGTERM, 2*time.Second)
		require.NoError(t, w.run())
		require.Equal(t, 6*time.Second, w.elapsed())
	})
}
