package shutdown_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

// health is what the three probes answer, in order: live, ready, started.
func (w *world) health() [3]string {
	var answers [3]string
	for i, h := range []http.Handler{w.Livez(), w.Readyz(), w.Startupz()} {
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, "/", nil))
		answers[i] = r.Body.String()
		require.Equal(w.t, answers[i] == "ok\n", r.Code == http.StatusOK)
		require.Equal(w.t, answers[i] != "ok\n", r.Code == http.StatusServiceUnavailable)
	}
	return answers
}

func TestHealth(t *testing.T) {
	inWorld(t, shutdown.Config{DrainDelay: 5 * time.Second, ReadinessDelay: 2 * time.Second}, func(t *testing.T, w *world) {
		second := func(context.Context) error { time.Sleep(time.Second); return nil }
		w.Add(shutdown.Component{Name: "a", Start: second, Stop: second})
		at := func(d time.Duration, live, ready, started string) {
			time.Sleep(d - w.elapsed())
			synctest.Wait()
			require.Equal(t, [3]string{live, ready, started}, w.health(), "at %v", d)
		}
		over := make(chan error)
		go func() { over <- w.Run(t.Context()) }()
		at(999*time.Millisecond, "ok\n", "starting\n", "starting\n")
		at(1*time.Second, "ok\n", "ok\n", "ok\n")
		at(2*time.Second, "ok\n", "ok\n", "ok\n")
		w.Shutdown(nil)
		at(3999*time.Millisecond, "ok\n", "ok\n", "ok\n")
		at(4*time.Second, "ok\n", "stopping\n", "ok\n")
		require.NoError(t, <-over)
		require.Equal(t, 8*time.Second, w.elapsed())
		at(8*time.Second, "ok\n", "stopping\n", "ok\n")
	})
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		w.Shutdown(nil)
		require.NoError(t, w.Run(t.Context()))
		require.Equal(t, [3]string{"ok\n", "starting\n", "starting\n"}, w.health(), "never was up")
	})
}
