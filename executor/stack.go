package executor

import (
	"bytes"
	"context"
	"runtime"
	"strconv"
)

// stackLimit bounds the stacks of all goroutines that a report is made from, in bytes.
const stackLimit = 64 << 20

// mark carries a call's id into the traceback of its goroutine, by which a report finds the stack of a call that runs
// on its caller's goroutine: to ask for that goroutine's number would cost ten times the call, each time. An array of
// two words is passed in memory, not in registers, so the traceback has it for as long as the call runs.
type mark [2]uintptr

//go:noinline
func runInline[T any](_ mark, ctx context.Context, fn func(context.Context) (T, error)) (T, error) {
	return fn(ctx)
}

// frame is how a traceback begins the frame of runInline, up to the digits of the id.
var frame = []byte("/executor.runInline[...]({0x")

// marked returns the numbers of the goroutines that run inline calls, by the calls' ids.
func marked() map[uintptr]uint64 {
	goids := make(map[uintptr]uint64)
	for stack := range bytes.SplitSeq(tracebacks(), []byte("\n\n")) {
		header, _ := bytes.CutPrefix(stack, []byte("goroutine "))
		number, _, _ := bytes.Cut(header, []byte(" "))
		goid, _ := strconv.ParseUint(string(number), 10, 64)
		for {
			_, after, ok := bytes.Cut(stack, frame)
			if !ok {
				break
			}
			digits, _, _ := bytes.Cut(after, []byte(","))
			id, _ := strconv.ParseUint(string(digits), 16, 64)
			goids[uintptr(id)] = goid
			stack = after
		}
	}
	return goids
}

// tracebacks is the stacks of all goroutines.
func tracebacks() []byte {
	for size := 1 << 20; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= stackLimit {
			return buf[:n]
		}
	}
}
