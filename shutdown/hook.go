package shutdown

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/grove-go/grove/internal/fault"
	"github.com/grove-go/grove/internal/stacks"
)

// PanicError is the panic of a hook, with the stack of where it began.
type PanicError = fault.PanicError

// hook is one call of a component's function, or one piece of tracked work.
//
// It ends once: when it returns, or when it is given up on. A stuck hook may return later, and remains stuck in the report.
type hook struct {
	step      Step          // what tells how it ended is guarded by App.mu, and does not change any more after that
	goroutine atomic.Uint64 // its number, 0 until it runs
	callers   []uintptr     // of Track, and nothing for others
	done      chan struct{} // closed when it has returned; nil for tracked work
}

// hookName tells a hook apart from all others of its app.
func hookName(component, hook string) string { return component + "." + hook }

// runs reports whether the call has not returned.
func (h *hook) runs() bool { return !isClosed(h.done) }

// end ends h as set does, unless it has ended before, and tells observers. It reports whether it did.
func (a *App) end(h *hook, set func(*Step)) bool {
	a.mu.Lock()
	first := h.step.Running
	if first {
		h.step.Running, h.step.Took = false, time.Since(h.step.Began)
		set(&h.step)
	}
	a.mu.Unlock()
	if first {
		a.stepEnded(h.step)
	}
	return first
}

// call runs f on a goroutine of its own. Whatever becomes of f, its outcome passes through outcome before the hook ends, and
// ended is called after that. Both may be nil.
func (a *App) call(ctx context.Context, c *component, at Phase, name string, f func(context.Context) error, outcome func(error) error, ended func(error)) *hook {
	began := Step{Component: c.Name, Phase: at, Hook: name, Began: time.Now(), Running: true}
	h := &hook{step: began, done: make(chan struct{})}
	a.mu.Lock()
	a.hooks = append(a.hooks, h)
	a.mu.Unlock()
	go func() {
		err := fault.ErrGoexit // unless f returns or panics
		defer func() {
			if v := recover(); v != nil {
				err = fault.Recovered(v, hookName(c.Name, name))
			}
			if outcome != nil {
				err = outcome(err)
			}
			if a.end(h, func(s *Step) { s.Err = err }) && err != nil {
				a.log.Error("shutdown: failed", slog.String("component", c.Name), slog.String("hook", name), slog.Any("error", err))
			}
			if ended != nil {
				ended(err)
			}
			close(h.done)
		}()
		h.goroutine.Store(stacks.ID())
		a.stepBegan(began)
		err = f(stacks.Label(ctx, label, c.Name))
	}()
	return h
}

// label is the key of the profiler label that the goroutines of a component have.
const label = "shutdown"

// allStacks bounds the text of all goroutines that a search for stuck ones reads, oneStack that of one hook in a report.
const (
	allStacks = 64 << 20
	oneStack  = 64 << 10
)

// giveUp ends hooks that have not ended as stuck, with their stacks, and tells the log. It reports whether there were any.
// From then on tracked work is among a.hooks.
func (a *App) giveUp(hooks ...*hook) bool {
	ids := make([]uint64, len(hooks))
	for i, h := range hooks {
		ids[i] = h.goroutine.Load()
	}
	found := stacks.Of(allStacks, ids...)
	shown := bytes.Join(slices.Collect(maps.Values(found)), []byte("\n"))
	told := make(map[string]bool)
	stuck := false
	for i, h := range hooks {
		stack := found[ids[i]]
		if h.done == nil {
			stack = trackedBy(h.callers)
		} else if name := h.step.Component; !told[name] {
			// Those that a hook has started through others which have ended.
			told[name] = true
			stack = append(append(stack, '\n'), stacks.Labeled(label, name, shown)...)
		}
		if len(stack) > oneStack {
			stack = append(stack[:oneStack:oneStack], "\n...\n"...)
		}
		if !a.end(h, func(s *Step) {
			s.Stuck, s.Stack = true, stack
			if h.done == nil {
				a.hooks = append(a.hooks, h)
			}
		}) {
			continue // it has returned, or the third signal came while the stop gave up on it
		}
		stuck = true
		a.log.Error("shutdown: stuck", slog.String("component", h.step.Component), slog.String("hook", h.step.Hook),
			slog.Duration("after", h.step.Took), slog.String("stack", string(stack)))
	}
	return stuck
}

// trackedBy formats the callers of Track as a traceback does.
func trackedBy(callers []uintptr) []byte {
	text := []byte("tracked by\n")
	for frames := runtime.CallersFrames(callers); ; {
		f, more := frames.Next()
		text = fmt.Appendf(text, "%s(...)\n\t%s:%d\n", f.Function, f.File, f.Line)
		if !more {
			return text
		}
	}
}
