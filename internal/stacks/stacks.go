// Package stacks finds the stacks of chosen goroutines, for reports of work that is stuck.
package stacks

import (
	"bytes"
	"runtime"
	"strconv"
)

// ID is the number of the calling goroutine, as tracebacks print it. It costs microseconds, the more the deeper the stack:
// ask once for a goroutine, not for each call.
func ID() uint64 {
	var buf [64]byte
	g, _ := parse(buf[:runtime.Stack(buf[:], false)])
	return g.id
}

// Of returns the stacks of the goroutines with the given numbers that are still alive, each followed by those of
// the live goroutines that it started, directly or through others that live. Other goroutines stop while the stacks
// are written, for as long as that takes: it is for reports, not for measurements. At most limit bytes are
// written for all goroutines of the process together; the rest is missing.
func Of(limit int, ids ...uint64) map[uint64][]byte {
	all := dump(limit)
	children := make(map[uint64][]goroutine)
	byID := make(map[uint64]goroutine, len(all))
	for _, g := range all {
		byID[g.id] = g
		children[g.parent] = append(children[g.parent], g)
	}
	found := make(map[uint64][]byte, len(ids))
	for _, id := range ids {
		g, ok := byID[id]
		if !ok {
			continue
		}
		// Numbers are not used again, so no goroutine can be its own ancestor and the walk ends.
		var text []byte
		for queue := []goroutine{g}; len(queue) > 0; queue = queue[1:] {
			if text != nil {
				text = append(text, '\n')
			}
			text = append(append(text, queue[0].text...), '\n')
			queue = append(queue, children[queue[0].id]...)
		}
		found[id] = text
	}
	return found
}

type goroutine struct {
	id, parent uint64
	text       []byte
}

// dump is the stacks of all goroutines, in at most limit bytes.
func dump(limit int) []goroutine {
	buf := make([]byte, min(limit, 64<<10))
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) || len(buf) >= limit {
			buf = buf[:n]
			break
		}
		buf = make([]byte, min(limit, 2*len(buf)))
	}
	var all []goroutine
	for text := range bytes.SplitSeq(buf, []byte("\n\n")) {
		if g, ok := parse(bytes.TrimSpace(text)); ok {
			all = append(all, g)
		}
	}
	return all
}

var (
	header    = []byte("goroutine ")
	createdBy = []byte("\ncreated by ")
	inRoutine = []byte(" in goroutine ")
)

// parse reads "goroutine 12 [running]:" and, where there is one, "created by f in goroutine 7".
func parse(text []byte) (goroutine, bool) {
	g := goroutine{text: text}
	rest, ok := bytes.CutPrefix(text, header)
	if !ok {
		return g, false
	}
	g.id = number(rest)
	if i := bytes.LastIndex(text, createdBy); i >= 0 {
		if _, after, ok := bytes.Cut(text[i:], inRoutine); ok {
			g.parent = number(after)
		}
	}
	return g, g.id != 0
}

func number(text []byte) uint64 {
	end := 0
	for end < len(text) && '0' <= text[end] && text[end] <= '9' {
		end++
	}
	n, _ := strconv.ParseUint(string(text[:end]), 10, 64)
	return n
}
