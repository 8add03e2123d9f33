package interop_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/looplag/shed"
	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/shutdown"
	"github.com/grove-go/grove/taskgroup"
)

var errDown = errors.New("connection refused")

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func newObserver(t *testing.T, cfg observe.Config) *observe.Observer {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	o, err := observe.New(cfg)
	require.NoError(t, err)
	return o
}

// slowPipe holds back each byte long enough for a breach.
type slowPipe struct{ io.ReadCloser }

func (p slowPipe) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	<-time.After(250 * time.Millisecond)
	return n, err
}

// cgroup is a file system with a quota.
func cgroup(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/self/cgroup":           "0::/job\n",
		"proc/self/mountinfo":        "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 none rw\n",
		"sys/fs/cgroup/job/cpu.stat": "usage_usec 1\nnr_periods 100\nnr_throttled 7\nthrottled_usec 9\n",
		"sys/fs/cgroup/job/cpu.max":  "100000 100000\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}
	return root
}

// history lets one of everything happen under o: after it each instrument has something to say.
func history(t *testing.T, o *observe.Observer) {
	t.Helper()
	ctx := o.Context(t.Context())
	g := taskgroup.New(ctx, taskgroup.Name("page"))
	g.Go(untilDone)
	g.Go(func(context.Context) error { return errDown })
	require.ErrorIs(t, g.Wait(), errDown)

	pool, err := executor.New(executor.Config{Name: "db", Workers: 1, Queue: executor.NoQueue})
	require.NoError(t, err)
	o.Executor(pool)
	_, err = executor.Do(ctx, pool, func(context.Context) (int, error) { return 1, nil })
	require.NoError(t, err)
	leaving, leave := context.WithCancel(ctx)
	hold, running := make(chan struct{}), make(chan struct{})
	left := make(chan error)
	go func() {
		_, err := executor.Do(leaving, pool, func(context.Context) (int, error) { close(running); <-hold; return 1, nil })
		left <- err
	}()
	<-running
	_, err = executor.Do(ctx, pool, func(context.Context) (int, error) { return 1, nil })
	require.ErrorIs(t, err, executor.ErrQueueFull)
	leave()
	require.Error(t, <-left)
	t.Cleanup(func() { close(hold); require.NoError(t, pool.Close()) })

	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	o.App(app)
	nothing := func(context.Context) error { return nil }
	app.Add(shutdown.Component{Name: "cache", Run: nothing, Stop: nothing}) // the app stops when every Run has returned
	require.NoError(t, app.Run(t.Context()))

	probe := looplag.New(looplag.Config{
		IdleInterval: 10 * time.Millisecond, Root: os.DirFS(cgroup(t)),
		Pipe: func() (io.ReadCloser, io.WriteCloser, error) {
			r, w, err := os.Pipe()
			return slowPipe{r}, w, err
		},
	})
	o.Probe(probe)
	breached := make(chan struct{}, 1)
	probe.OnBreach(looplag.Rule{}, func(looplag.Breach) {
		select {
		case breached <- struct{}{}:
		default:
		}
	})
	o.Shedder(shed.New(probe, shed.Policy{}))
	loop := probe.Watch("hub", time.Minute)
	loop.Begin()
	loop.End()
	live := taskgroup.New(context.WithoutCancel(ctx))
	live.Go(probe.Run)
	live.Go(o.Run)
	t.Cleanup(func() { require.NoError(t, live.Stop()) })
	<-breached
	ticked := time.After(2200 * time.Millisecond) // of the lints, and then of the time that the process has been late
	<-ticked
}

// runNamed runs a group of that name with one task.
func runNamed(t *testing.T, o *observe.Observer, name string) {
	t.Helper()
	g := taskgroup.New(o.Context(t.Context()), taskgroup.Name(name))
	g.Go(func(context.Context) error { return nil })
	require.NoError(t, g.Wait())
}
