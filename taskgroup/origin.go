package taskgroup

import (
	"reflect"
	"runtime"
	"strings"
	"time"
)

// origin is what is known of a task when something has to be said about it. What costs anything is found out only then.
type origin struct {
	f     any    // the function
	name  string // empty without one
	start time.Time
}

func (s slot) origin(start time.Time) origin {
	o := origin{f: s.f}
	if s.named != nil {
		o.name, o.start = s.named.Name, start
	}
	return o
}

// failure is the TaskError for err.
func (o origin) failure(err error) *TaskError {
	e := &TaskError{Name: o.name, Err: err}
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
	pc := reflect.ValueOf(o.f).Pointer()
	fn := runtime.FuncForPC(pc)
	if fn == nil {
		return "", "", 0
	}
	file, line = fn.FileLine(pc)
	return fn.Name(), file, line
}

// title is the shortest text that tells a task from others: its name, or its function with the package it is in.
func title(name, function string) string {
	if name != "" {
		return name
	}
	return function[strings.LastIndexByte(function, '/')+1:]
}
