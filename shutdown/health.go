package shutdown

import (
	"net/http"
	"time"
)

// Livez answers 200 for as long as the process can answer at all, during the stop too.
func (a *App) Livez() http.Handler {
	return check(func() string { return "" })
}

// Readyz answers 200 from when every Start has returned until the app is asked to stop, or Config.ReadinessDelay
// later, and 503 before and after.
func (a *App) Readyz() http.Handler {
	return check(func() string {
		a.mu.Lock()
		defer a.mu.Unlock()
		switch {
		case !a.up:
			return "starting"
		case isClosed(a.stopping) && time.Since(a.stoppedAt) >= a.config.ReadinessDelay:
			return "stopping"
		}
		return ""
	})
}

// Startupz answers 503 until every Start has returned, and 200 from then on.
func (a *App) Startupz() http.Handler {
	return check(func() string {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.up {
			return "starting"
		}
		return ""
	})
}

// check returns what is wrong, or nothing.
type check func() string

func (c check) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	wrong := c()
	if wrong == "" {
		w.Write([]byte("ok\n"))
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	w.Write([]byte(wrong + "\n"))
}
