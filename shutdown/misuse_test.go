package shutdown_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

func TestAddPanicsOnceRunHasBeenCalledAndSoDoesASecondRun(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		require.NoError(t, w.run())
		require.PanicsWithValue(t, "shutdown: Add called after Run", func() { w.Add() })
		require.PanicsWithValue(t, "shutdown: Run called twice", func() { _ = w.Run(t.Context()) })
	})
}

func TestAppThatNewHasNotMadePanics(t *testing.T) {
	for name, use := range map[string]func(*shutdown.App){
		"Add":      func(a *shutdown.App) { a.Add() },
		"Observe":  func(a *shutdown.App) { a.Observe(nil) },
		"Run":      func(a *shutdown.App) { _ = a.Run(t.Context()) },
		"Shutdown": func(a *shutdown.App) { a.Shutdown(nil) },
		"Track":    func(a *shutdown.App) { _, _ = a.Track(t.Context(), "work") },
	} {
		require.PanicsWithValue(t, "shutdown: App not made by New", func() { use(new(shutdown.App)) }, name)
	}
}

func TestRunWithoutAContextPanicsOnItsOwnGoroutine(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		require.Panics(t, func() { _ = w.Run(nil) }) //nolint:staticcheck // on purpose
		require.NoError(t, w.run(), "it has not been called")
	})
}

func TestRunWhoseContextEndsWithACauseThatSaysNothing(t *testing.T) {
	inWorld(t, shutdown.Config{ReadinessDelay: time.Second}, func(t *testing.T, w *world) {
		w.Add(shutdown.Component{Name: "a", Stop: func(context.Context) error { time.Sleep(time.Second); return nil }})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New(""))
		time.AfterFunc(time.Second, func() { w.Shutdown(errors.New("too late")) })
		require.NoError(t, w.Run(ctx))
		require.Equal(t, w.began.Add(25*time.Second), w.Report().Deadline)
	})
}
