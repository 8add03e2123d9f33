package shutdown

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/grove-go/grove/internal/fault"
	"github.com/grove-go/grove/internal/stacks"
)

// PanicError is the panic of a hook, with the stack of where it began.
type PanicError = fault.PanicError

// hook is one call of a component's function, or one piece of tracked work.
//
// It returns, or it is given up on, or both: a stuck hook may return later, and remains stuck in the report.
type hook struct {
	component string
	phase     Phase
	name      string // Start, Run, Stop, …
	began     time.Time
	goroutine atomic.Uint64 // its number, 0 until it runs
	callers   []uintptr     // of Track, and nothing for others
	done      chan struct{} // nil for tracked work

	// Set before done is closed, read after it.
	took time.Duration
	err  error

	// Set together when the hook is given up on. Guarded by App.mu.
	stuck bool
	age   time.Duration
	stack []byte
}

// call runs f on a goroutine of its own. Whatever becomes of f, its outcome passes through ended, if that is not nil,
// before done is closed.
func (a *App) call(c *component, at Phase, name string, f func() error, ended func(error) error) *hook {
	h := &hook{component: c.Name, phase: at, name: name, began: time.Now(), done: make(chan struct{})}
	a.mu.Lock()
	a.hooks = append(a.hooks, h)
	a.mu.Unlock()
	go func() {
		err := fault.ErrGoexit // unless f returns or panics
		defer func() {
			if v := recover(); v != nil {
				err = fault.Recovered(v, c.Name+"."+name)
			}
			if ended != nil {
				err = ended(err)
			}
			h.took, h.err = time.Since(h.began), err
			close(h.done)
		}()
		h.goroutine.Store(stacks.ID())
		err = f()
	}()
	return h
}

// allStacks bounds the text of all goroutines that a search for stuck ones reads, oneStack that of one hook in a report.
const (
	allStacks = 64 << 20
	oneStack  = 64 << 10
)

// giveUp marks hooks as stuck, with their stacks, and tells the log. From then on tracked work is among a.hooks.
func (a *App) giveUp(hooks ...*hook) {
	ids := make([]uint64, len(hooks))
	for i, h := range hooks {
		ids[i] = h.goroutine.Load()
	}
	found := stacks.Of(allStacks, ids...)
	for i, h := range hooks {
		stack := found[ids[i]]
		if h.done == nil {
			stack = trackedBy(h.callers)
		} else if len(stack) > oneStack {
			stack = append(stack[:oneStack:oneStack], "\n...\n"...)
		}
		a.mu.Lock()
		if !h.stuck { // or the third signal comes while the stop gives up on the same
			h.stuck, h.age, h.stack = true, time.Since(h.began), stack
			if h.done == nil {
				a.hooks = append(a.hooks, h)
			}
		}
		a.mu.Unlock()
		a.log.Error("shutdown: stuck", slog.String("component", h.component), slog.String("hook", h.name),
			slog.Duration("after", h.age), slog.String("stack", string(stack)))
	}
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
