package shutdown_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

func TestStuckHookIsReportedWithGoroutinesWhoseParentsHaveEnded(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		never := make(trap)
		defer close(never)
		var workers sync.WaitGroup
		w.Add(shutdown.Component{
			Name: "pool",
			Start: func(context.Context) error {
				for range 2 {
					workers.Go(never.waitForever)
				}
				return nil // and its goroutine ends
			},
			Stop: func(context.Context) error { workers.Wait(); return nil },
		})
		err := w.run()
		require.Equal(t, 124, shutdown.ExitCode(err))
		require.Contains(t, err.Error(), "sync.(*WaitGroup).Wait")
		require.Contains(t, err.Error(), "\n\t2 more:\n\tgithub.com/grove-go/grove/shutdown_test.trap.waitForever(...)\n\t\t")
		require.NotContains(t, err.Error(), "1 more", "its own goroutine is there already")
	})
}

func TestStacksInAReportAreBounded(t *testing.T) {
	inWorld(t, shutdown.Config{}, func(t *testing.T, w *world) {
		never := make(trap)
		defer close(never)
		w.Add(shutdown.Component{Name: "pool", Stop: func(context.Context) error {
			var workers sync.WaitGroup
			for range 300 {
				workers.Go(never.waitForever)
			}
			workers.Wait()
			return nil
		}})
		require.Equal(t, 124, shutdown.ExitCode(w.run()))
		stack := string(w.step("pool", "Stop").Stack)
		require.Contains(t, stack, "shutdown_test.trap.waitForever")
		require.Len(t, stack, 64<<10+len("\n...\n"))
		require.True(t, strings.HasSuffix(stack, "\n...\n"))
	})
}

func lock(mu *sync.Mutex) { mu.Lock(); mu.Unlock() } //nolint:staticcheck // to wait

func readAll(r io.Reader) { io.Copy(io.Discard, r) } //nolint:errcheck // it is never over

func TestReportNamesTheLineThatHangs(t *testing.T) {
	for name, c := range map[string]struct {
		at    string
		hangs func(release <-chan struct{})
	}{
		"in a mutex": {"shutdown_test.lock(", func(release <-chan struct{}) {
			var mu sync.Mutex
			mu.Lock()
			go func() { <-release; mu.Unlock() }()
			lock(&mu)
		}},
		"in a channel": {"shutdown_test.trap.waitForever(", func(release <-chan struct{}) {
			never := make(trap)
			go func() { <-release; close(never) }()
			never.waitForever()
		}},
		"in somebody else's code": {"shutdown_test.readAll(", func(release <-chan struct{}) {
			r, w := io.Pipe()
			go func() { <-release; _ = w.Close() }()
			readAll(r)
		}},
		"in a goroutine that it waits for": {"shutdown_test.trap.waitForever(", func(release <-chan struct{}) {
			never := make(trap)
			go func() { <-release; close(never) }()
			var workers sync.WaitGroup
			workers.Go(never.waitForever)
			workers.Wait()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			release, over := make(chan struct{}), make(chan struct{})
			app, err := shutdown.New(shutdown.Config{Timeout: time.Second / 2, Logger: slog.New(slog.DiscardHandler), Signals: []os.Signal{}})
			require.NoError(t, err)
			app.Add(shutdown.Component{Name: "queue", Stop: func(context.Context) error {
				defer close(over)
				c.hangs(release)
				return nil
			}})
			app.Add(shutdown.Component{Name: "job", Run: func(context.Context) error { return nil }}) // whose end is that of the app
			err = app.Run(t.Context())
			close(release)
			<-over
			require.Equal(t, 124, shutdown.ExitCode(err))
			_, report, ok := strings.Cut(err.Error(), "\nqueue (Resources): Stop is stuck after ")
			require.True(t, ok, "%v", err)
			_, place, ok := strings.Cut(report, c.at)
			require.True(t, ok, report)
			require.Regexp(t, `^.*\)\n\t\t\S+_test\.go:\d+`, place)
		})
	}
}
