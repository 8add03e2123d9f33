package stacks

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strconv"
	"strings"
)

// Label puts a label on the calling goroutine, which all that it starts inherit, and theirs, whether or not it lives on. It
// returns ctx with the label, for those who put their own on it with [pprof.Do].
func Label(ctx context.Context, key, value string) context.Context {
	ctx = pprof.WithLabels(ctx, pprof.Labels(key, value))
	pprof.SetGoroutineLabels(ctx)
	return ctx
}

// Labeled returns the stacks of goroutines with a label, each with the number of the goroutines that have it, but for
// those that are in shown, which is text that Of has returned.
func Labeled(key, value string, shown []byte) []byte {
	var profile bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&profile, 1) //nolint:errcheck // a buffer takes everything
	label := strconv.Quote(key) + ":" + strconv.Quote(value)
	known := sites(shown)
	var text []byte
	for record := range strings.SplitSeq(profile.String(), "\n\n") {
		header, rest, ok := strings.Cut(record, "\n# labels: ")
		labels, rest, _ := strings.Cut(rest, "\n")
		if !ok || !strings.Contains(labels, label) {
			continue
		}
		frames, site := format(rest)
		n := number([]byte(header[strings.LastIndexByte(header, '\n')+1:]))
		if n <= known[site] {
			continue
		}
		text = fmt.Appendf(text, "%d more:\n%s", n-known[site], frames)
	}
	return text
}

// format writes a stack of a profile as tracebacks have it. The site is what it has in common with one.
func format(record string) (frames, site string) {
	var text, lines strings.Builder
	for line := range strings.SplitSeq(record, "\n") {
		cells := strings.FieldsFunc(line, func(r rune) bool { return r == '\t' })
		if len(cells) != 4 { // #, counter, function+offset, file:line
			continue
		}
		function, _, _ := strings.Cut(cells[2], "+0x")
		fmt.Fprintf(&text, "%s(...)\n\t%s\n", function, cells[3])
		if !strings.HasPrefix(function, "runtime.") {
			lines.WriteString(cells[3] + "\n")
		}
	}
	return text.String(), lines.String()
}

// sites counts the goroutines of a traceback by their sites.
func sites(traceback []byte) map[string]uint64 {
	count := make(map[string]uint64)
	for one := range strings.SplitSeq(string(traceback), "\n\n") {
		var site strings.Builder
		function := ""
		for line := range strings.SplitSeq(one, "\n") {
			at, isPlace := strings.CutPrefix(line, "\t")
			switch {
			case !isPlace:
				function = line
			case !strings.HasPrefix(function, "runtime.") && !strings.HasPrefix(function, "created by "):
				at, _, _ = strings.Cut(at, " +0x")
				site.WriteString(at + "\n")
			}
		}
		count[site.String()]++
	}
	return count
}
