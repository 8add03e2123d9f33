package shutdown_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

func TestDrainOutOfTimeWaitsForNoConnectionButForHandlers(t *testing.T) {
	inSite(t, func(t *testing.T, w *world, p *pipes) {
		w.clients.Go(func() {
			c := p.dial(t)
			time.Sleep(900 * time.Millisecond)
			c.send("GET / HTTP/1.1", "")
			c.requireClosed()
			require.Equal(t, 1600*time.Millisecond, w.elapsed())
		})
		w.clients.Go(func() {
			c := p.dial(t)
			c.wait(1700 * time.Millisecond)
			require.True(t, c.answer().Close)
		})
		w.send(os.Interrupt, time.Second)
		w.send(os.Interrupt, 1600*time.Millisecond)
		require.ErrorContains(t, w.Run(t.Context()), "http (InFlight): Stop: requests were cancelled: context canceled")
		require.Equal(t, 1700*time.Millisecond, w.elapsed())
	})
}

func TestDrainOutOfTimeIsNoFailureIfConnectionsWereOnlyIdle(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		p := newPipes()
		c := shutdown.HTTP("http", &http.Server{}, p)
		c.StopTimeout = shutdown.IdleGrace / 2
		w.Add(c)
		w.clients.Go(func() { p.dial(t).requireClosed() })
		w.requireDrain(t, shutdown.IdleGrace/2)
	})
}

func TestDrainOutOfTimeFailsIfARequestHadBegunToArrive(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		p := newPipes()
		c := shutdown.HTTP("http", &http.Server{}, p)
		c.StopTimeout = time.Second / 2
		w.Add(c)
		w.clients.Go(func() {
			c := p.dial(t)
			time.Sleep(900 * time.Millisecond)
			c.send("GET / HTTP/1.1", "")
			c.requireClosed()
		})
		require.ErrorContains(t, w.run(), "http (InFlight): Stop: requests were cancelled: context deadline exceeded")
	})
}
