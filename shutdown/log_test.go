package shutdown_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

// newLog is a logger whose lines have no time.
func newLog() (*slog.Logger, *bytes.Buffer) {
	var text bytes.Buffer
	return slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})), &text
}

func TestLogTellsWhatGoesWrongForMainsThatDoNot(t *testing.T) {
	logger, text := newLog()
	inWorld(t, shutdown.Config{Logger: logger}, func(t *testing.T, w *world) {
		w.Add(
			shutdown.Component{Name: "worker", Phase: shutdown.Work, Run: func(context.Context) error {
				time.Sleep(time.Second)
				return errors.New("broken")
			}},
			shutdown.Component{Name: "db", Stop: func(context.Context) error {
				time.Sleep(time.Second)
				return errors.New("connection lost")
			}},
		)
		require.Error(t, w.Run(t.Context()))
	})
	require.Equal(t, `level=INFO msg="shutdown: started"
level=ERROR msg="shutdown: failed" component=worker hook=Run error=broken
level=INFO msg="shutdown: stopping" reason="\"worker\" failed" cause=broken
level=ERROR msg="shutdown: failed" component=db hook=Stop error="connection lost"
level=INFO msg="shutdown: stopped" took=1s
`, text.String())
}

func TestLogTellsWhyNothingWasStarted(t *testing.T) {
	logger, text := newLog()
	inWorld(t, shutdown.Config{Logger: logger}, func(t *testing.T, w *world) {
		w.Add(shutdown.Component{Name: "a", Needs: []string{"b"}})
		require.Error(t, w.Run(t.Context()))
	})
	require.Equal(t, `level=ERROR msg="shutdown: not started" error="shutdown: \"a\" needs \"b\", which does not exist"
`, text.String())
}

// A slowError takes a second to say what it is.
type slowError struct{}

func (slowError) Error() string { time.Sleep(time.Second); return "slow" }

func TestLogTellsThatTheAppStopsBeforeItTellsThatItHas(t *testing.T) {
	for range 20 { // Run has two things to choose from
		logger, text := newLog()
		inWorld(t, shutdown.Config{Logger: logger}, func(t *testing.T, w *world) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(slowError{})
			time.AfterFunc(time.Second/2, func() { w.Shutdown(nil) })
			require.NoError(t, w.Run(ctx))
		})
		require.Equal(t, `level=INFO msg="shutdown: started"
level=INFO msg="shutdown: stopping" reason="Shutdown was called"
level=INFO msg="shutdown: stopped" took=0s
`, text.String())
	}
}
