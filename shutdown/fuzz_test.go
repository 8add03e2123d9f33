package shutdown_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/shutdown"
)

// dice turns the fuzzer's bytes into choices; when they have run out it is always 0.
type dice struct{ bytes []byte }

func (d *dice) roll(n int) int {
	if len(d.bytes) == 0 {
		return 0
	}
	b := d.bytes[0]
	d.bytes = d.bytes[1:]
	return int(b) % n
}

func (d *dice) duration() time.Duration {
	return []time.Duration{0, time.Millisecond, 70 * time.Millisecond, time.Second, 3 * time.Second, 40 * time.Second}[d.roll(6)]
}

// behavior makes a hook that does one of the things that hooks do.
func (d *dice) behavior(never trap) func(context.Context) error {
	kind, after := d.roll(8), d.duration()
	return func(ctx context.Context) error {
		if kind < 4 {
			time.Sleep(after)
		}
		switch kind {
		case 1:
			return errors.New("broken")
		case 2:
			panic("boom")
		case 3:
			runtime.Goexit()
		case 4:
			return never.fall(ctx)
		case 5:
			<-ctx.Done()
			return ctx.Err()
		case 6:
			<-ctx.Done()
			time.Sleep(after)
		case 7:
			<-shutdown.Stopping(ctx)
			time.Sleep(after)
		}
		return nil
	}
}

// trace is what happened to a component.
type trace struct {
	shutdown.Component
	mu                   sync.Mutex
	calls                map[string]int
	started              bool // Start has returned nil
	stopDead, hardEnded  bool // what Stop found when it was called: its own context ended, or that of Run
	startEnded, stopCall time.Time
	hard                 context.Context
}

func (c *trace) wrap(name string, f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		c.mu.Lock()
		c.calls[name]++
		switch name {
		case "Run":
			c.hard = ctx
		case "Stop":
			c.stopDead, c.stopCall = ctx.Err() != nil, time.Now()
			c.hardEnded = c.hard != nil && c.hard.Err() != nil
		}
		c.mu.Unlock()
		err := f(ctx)
		if name == "Start" {
			c.mu.Lock()
			c.started, c.startEnded = err == nil, time.Now()
			c.mu.Unlock()
		}
		return err
	}
}

// told is what observers were told of, each step once.
type told struct {
	mu           sync.Mutex
	began, ended map[string]shutdown.Step
	twice        []string
	phases       []shutdown.Phase
}

func observe(w *world) *told {
	o := &told{began: make(map[string]shutdown.Step), ended: make(map[string]shutdown.Step)}
	note := func(steps map[string]shutdown.Step) func(shutdown.Step) {
		return func(s shutdown.Step) {
			_ = w.Report() // may be asked for at any moment
			o.mu.Lock()
			defer o.mu.Unlock()
			if _, ok := steps[s.Component+s.Hook]; ok {
				o.twice = append(o.twice, s.Component+s.Hook)
			}
			steps[s.Component+s.Hook] = s
		}
	}
	w.Observe(&shutdown.Hooks{
		StepBegan: note(o.began), StepEnded: note(o.ended),
		PhaseBegan: func(p shutdown.PhaseInfo) { o.phases = append(o.phases, p.Phase) },
	})
	return o
}

// requireSteps requires that the report is what observers were told.
func (o *told) requireSteps(t *testing.T, r *shutdown.Report) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	require.Empty(t, o.twice)
	for _, s := range r.Steps {
		if s.Running { // in a process that has exited
			require.NotNil(t, r.Forced, "%v", s)
			continue
		}
		require.Equal(t, s, o.ended[s.Component+s.Hook])
		require.Equal(t, s.Began, o.began[s.Component+s.Hook].Began)
	}
	if r.Forced != nil {
		return
	}
	require.Len(t, o.ended, len(r.Steps))
	require.Len(t, r.Phases, 6)
	for i, p := range r.Phases {
		require.False(t, p.Running)
		require.Equal(t, p.Phase, o.phases[i])
	}
	for _, c := range r.Components {
		require.Equal(t, "over", c.State)
	}
}

func FuzzApp(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{3, 1, 0, 4, 3, 0, 0, 1, 5, 0, 0, 0, 4, 0, 1, 2, 0, 0, 5, 5, 0, 4, 1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{5, 2, 2, 4, 4, 0, 4, 0, 4, 1, 1, 1, 4, 4, 4, 4, 4, 0, 0, 4, 2, 2, 4, 5, 5, 5, 5, 4, 4, 0, 4, 4, 3, 3, 3, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &dice{bytes: data}
		config := shutdown.Config{Timeout: []time.Duration{0, 10 * time.Microsecond, 20 * time.Millisecond, time.Second, 10 * time.Second}[d.roll(5)]}
		total := config.Timeout
		if total == 0 {
			total = 25 * time.Second
		}
		config.DrainDelay = total * time.Duration(d.roll(4)) / 5
		inWorld(t, config, func(t *testing.T, w *world) { tryApp(t, w, d, total) })
	})
}

// tryApp makes components of all sorts and lets them run into signals, and checks what must hold whatever they do.
func tryApp(t *testing.T, w *world, d *dice, total time.Duration) {
	never := make(trap)
	var all []*trace
	for i := range 1 + d.roll(6) {
		c := &trace{calls: make(map[string]int)}
		c.Name = fmt.Sprint(i)
		c.Phase = shutdown.Announce + shutdown.Phase(d.roll(6))
		for _, other := range all {
			if other.Phase >= c.Phase && d.roll(3) == 1 {
				c.Needs = append(c.Needs, other.Name)
			}
		}
		c.Start = c.wrap("Start", d.behavior(never))
		if d.roll(3) > 0 {
			c.Run = c.wrap("Run", d.behavior(never))
		}
		if d.roll(4) > 0 {
			c.Stop = c.wrap("Stop", d.behavior(never))
		}
		c.Kill = []func() error{
			nil,
			func() error { return nil },
			func() error { panic("boom") },
			func() error { return never.fall(t.Context()) },
		}[d.roll(4)]
		c.StartTimeout, c.StopTimeout = d.duration(), d.duration()
		all = append(all, c)
		w.Add(c.Component)
	}
	told := observe(w)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // asks for a stop if nothing else does
	defer cancel()
	over := make(chan struct{})
	signals := d.roll(5)
	w.clients.Go(func() {
		for range signals {
			select {
			case <-time.After(d.duration()):
			case <-over:
				return
			}
			select {
			case w.signals <- []os.Signal{syscall.SIGTERM, os.Interrupt}[d.roll(2)]:
			case <-over:
				return
			}
		}
	})

	err := w.Run(ctx)
	defer time.Sleep(time.Hour) // hooks that were given up on end in the bubble
	defer close(never)
	close(over)
	r := w.Report()
	synctest.Wait() // a process that has exited would have told observers of a step a moment after it is in the report, or not at all
	told.requireSteps(t, r)
	if r.Forced != nil {
		require.Equal(t, shutdown.ExitCode(err), <-w.exits)
		require.LessOrEqual(t, r.Took, total)
		return // hooks go on in the bubble, but not in a process
	}
	require.LessOrEqual(t, r.Took, total, "of %v", total)
	require.Equal(t, shutdown.ExitCode(err), shutdown.ExitCode(r))

	stuck := make(map[string]bool)
	stopped := make(map[string]time.Time) // when the last of a component's hooks was over
	failed := r.Cause != nil
	for _, s := range r.Steps {
		stuck[s.Component+s.Hook] = s.Stuck
		failed = failed || s.Stuck || s.Err != nil
		if end := s.Began.Add(s.Took); s.Hook != "Start" && end.After(stopped[s.Component]) {
			stopped[s.Component] = end
		}
	}
	require.Equal(t, failed, err != nil)

	for _, c := range all {
		c.mu.Lock()
		defer c.mu.Unlock()
		up := c.started && !stuck[c.Name+"Start"]
		require.LessOrEqual(t, c.calls["Start"], 1)
		for hook, f := range map[string]func(context.Context) error{"Run": c.Run, "Stop": c.Stop} {
			want := 0
			if up && f != nil {
				want = 1
			}
			require.Equal(t, want, c.calls[hook], "%s of %s", hook, c.Name)
		}
		if signals < 2 { // a second one may come in the moment in which Stop is called
			require.False(t, c.stopDead, "Stop of %s had no time", c.Name)
			require.False(t, c.hardEnded, "Stop of %s found that Run had been cancelled", c.Name)
		}
	}
	for _, first := range all {
		for _, then := range all {
			needs := false
			for _, name := range first.Needs {
				needs = needs || name == then.Name
			}
			if !needs && first.Phase >= then.Phase {
				continue
			}
			if first.calls["Stop"] > 0 && then.calls["Stop"] > 0 {
				require.False(t, then.stopCall.Before(stopped[first.Name]), "%s stopped before %s was over", then.Name, first.Name)
			}
			if first.calls["Start"] > 0 {
				require.True(t, then.started, "%s started without %s", first.Name, then.Name)
				require.False(t, w.step(first.Name, "Start").Began.Before(then.startEnded))
			}
		}
	}
}
