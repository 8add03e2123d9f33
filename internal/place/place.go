// Package place tells where code is.
package place

import (
	"maps"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A Place is what there is to say about a program counter.
type Place struct {
	// Function is the function that it is in. Around is the one that this is written in if it has no name of its own,
	// and otherwise the function itself.
	Function, Around string
	// File and Line are empty for a method value, whose code the compiler has made.
	File string
	Line int
}

// places are those that were asked for, since finding one costs as much as a task of a group that is watched. There are
// no more of them than places in the program. The map is replaced, under placesMu, and never changed.
var (
	places   atomic.Pointer[map[uintptr]*Place]
	placesMu sync.Mutex
)

// Of returns the place of a program counter; it is not to be changed. Its frame is small, for those who have little stack
// left.
func Of(pc uintptr) *Place {
	if known := places.Load(); known != nil {
		if p, ok := (*known)[pc]; ok {
			return p
		}
	}
	return find(pc)
}

// find finds a place that is not among places, and adds it.
//
//go:noinline
func find(pc uintptr) *Place {
	p := lookUp(pc)
	placesMu.Lock()
	defer placesMu.Unlock()
	more := make(map[uintptr]*Place)
	if known := places.Load(); known != nil {
		maps.Copy(more, *known)
	}
	more[pc] = p
	places.Store(&more)
	return p
}

func lookUp(pc uintptr) *Place {
	fn := runtime.FuncForPC(pc)
	if fn == nil {
		return new(Place)
	}
	if method, ok := strings.CutSuffix(fn.Name(), "-fm"); ok {
		return &Place{Function: method, Around: method}
	}
	p := &Place{Function: fn.Name(), Around: around(fn.Name())}
	p.File, p.Line = fn.FileLine(pc)
	return p
}

// around is the function that a function literal is written in: the compiler names literals by those around them, with
// func1, or only a number if that is a literal, too.
func around(function string) string {
	dot := strings.LastIndexByte(function, '.')
	if number := strings.TrimPrefix(function[dot+1:], "func"); number != "" && strings.Trim(number, "0123456789") == "" {
		return function[:dot]
	}
	return function
}

// Entry is the program counter at which a function begins. F is a function type, and what it holds a pointer to a
// closure, of which that is the first word. Package reflect would tell the same, but by way of an interface: then a closure
// that does not escape otherwise could not stay on the stack.
func Entry[F any](f F) uintptr { return **(**uintptr)(unsafe.Pointer(&f)) }
