package taskgroup

import (
	"context"
	"strings"
	"time"

	"github.com/grove-go/grove/internal/place"
)

// Task describes a task to [Group.Start].
type Task struct {
	// Name names the task in errors and reports, and has its time measured. Empty: the name of the function stands
	// in for it.
	Name string
	// Weight is how many units of the group's [Limiter] the task takes; 0 means 1. A group without one ignores it.
	Weight int64
	// Background makes the task one that serves the others: it ends last. Its context keeps the values of the
	// group's but not its cancellation; it is cancelled with [ErrStopped] when all other tasks, and the body,
	// have ended. A background task does not count against [Limit] or a Limiter.
	Background bool
	// Func is the task. It must not be nil.
	Func func(context.Context) error
}

// A runner is a task as the engine sees it.
type runner interface {
	// run runs the task to its end.
	run(ctx context.Context) error
	// origin tells where the task came from. It is asked only when something has to be said about it.
	origin() origin
}

// An interruptible runner has to know that its task will not return.
type interruptible interface {
	// interrupted is called at most once, with a *PanicError or ErrGoexit after the task has been interrupted, or
	// with nil if it will not be started at all, while Group.mu is held. It reports whether it was unaware of it.
	interrupted(err error) bool
}

// A claimable runner may be run by somebody else than the engine: run is claim and then runClaimed.
type claimable interface {
	claim() bool
	runClaimed(ctx context.Context) error
}

// function is a task that is nothing but its function.
type function func(context.Context) error

func (f function) run(ctx context.Context) error { return f(ctx) }
func (f function) origin() origin                { return origin{entry: place.Entry(f)} }

// described is a task with a name or a weight.
type described struct {
	Task
	start time.Time // if it has a name: when it was started; who watches sets it before others can see the task
}

func (d *described) run(ctx context.Context) error {
	if d.Name != "" && d.start.IsZero() {
		d.start = time.Now()
	}
	return d.Func(ctx)
}

func (d *described) origin() origin {
	return origin{entry: place.Entry(d.Func), name: d.Name, start: d.start}
}

// origin is what is known of a task when something has to be said about it.
type origin struct {
	entry  uintptr   // of its function, see place.Entry
	name   string    // empty without one
	start  time.Time // zero if the clock was not read
	untold bool      // hooks hear nothing of it: it is the body of Run, or part of the task that awaits it
}

// failure is the TaskError for err.
func (g *Group) failure(o origin, err error) *TaskError {
	e := &TaskError{Name: o.name, Err: err, Observed: g.watch != nil && g.watch.hooks != nil && !o.untold}
	e.Func, e.File, e.Line = o.function()
	if !o.start.IsZero() {
		e.Elapsed = time.Since(o.start)
	}
	return e
}

func (o origin) title() string {
	fn, _, _ := o.function()
	return title(o.name, fn)
}

func (o origin) function() (name, file string, line int) {
	p := place.Of(o.entry)
	return p.Function, p.File, p.Line
}

// title is the shortest text that tells a task from others: its name, or its function with the package it is in.
func title(name, function string) string {
	if name != "" {
		return name
	}
	return function[strings.LastIndexByte(function, '/')+1:]
}
