package looplag

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/grove-go/grove/internal/stacks"
)

// maxStacks is how many bytes the search for a loop's stack may take: those of some 20,000 goroutines.
const maxStacks = 16 << 20

// gather adds to b the evidence that the rule asks for. If it is about a loop, the given turn of that is stuck.
func (t *ticks) gather(b *Breach, rule Rule, l *Loop, turn int64) {
	var missing []error
	note := func(what string, err error) {
		if err != nil {
			missing = append(missing, fmt.Errorf("looplag: %s: %w", what, err))
		}
	}
	t.quietly(func() { // all that stops the world
		if l != nil {
			id := l.goroutine.Load()
			stack := stacks.Of(maxStacks, id)[id]
			if l.began.Load() == turn { // so it was when the stack was taken
				b.Stack = stack
				b.Func, b.File, b.Line = culprit(stack)
			}
		}
		if rule.Stacks {
			var text bytes.Buffer
			note("stacks", pprof.Lookup("goroutine").WriteTo(&text, 1))
			b.Stacks = text.Bytes()
		}
		if rule.Recorder != nil {
			var data bytes.Buffer
			_, err := rule.Recorder.WriteTo(&data)
			note("flight recorder", err)
			b.Trace = data.Bytes()
		}
	})
	if rule.Profile > 0 {
		profile, err := t.profile(rule.Profile)
		note("profile", err)
		b.Profile = profile
	}
	b.Missing = errors.Join(missing...)
}

// profile takes a CPU profile, a shorter one if Run ends meanwhile.
func (t *ticks) profile(d time.Duration) ([]byte, error) {
	var data bytes.Buffer
	if err := pprof.StartCPUProfile(&data); err != nil {
		return nil, err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.done:
	}
	pprof.StopCPUProfile()
	return data.Bytes(), nil
}

// quietly calls f, whose pauses are the probe's own and count neither in STW nor as lag.
func (t *ticks) quietly(f func()) {
	t.gathering <- struct{}{}
	t.ignorePauses(true)
	defer func() {
		t.ignorePauses(false)
		<-t.gathering
	}()
	f()
}

func (p *Probe) ignorePauses(ignore bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record.meter.read()
	p.record.meter.ours = ignore
	p.ignored = p.now()
}

// culprit is the innermost frame of the stack outside of the standard library.
func culprit(stack []byte) (function, file string, line int) {
	// A frame is two lines: "pkg/path.func(0x1, ...)" and "\t/file.go:12 +0x34"; after the last may come "created by f in
	// goroutine 7".
	lines := strings.Split(string(stack), "\n")
	for i := 1; i+1 < len(lines) && lines[i] != ""; i += 2 {
		name := lines[i]
		if end := strings.LastIndexByte(name, '('); end > 0 {
			name = name[:end]
		}
		if strings.HasPrefix(name, "created by ") || isStandard(name) {
			continue
		}
		at, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " +0x")
		colon := strings.LastIndexByte(at, ':')
		if colon < 0 {
			return name, at, 0
		}
		line, _ = strconv.Atoi(at[colon+1:])
		return name, at[:colon], line
	}
	return "", "", 0
}

// isStandard reports whether a function belongs to the standard library, the import paths of which begin without a dot.
func isStandard(function string) bool {
	first, _, deeper := strings.Cut(function, "/")
	domain := deeper && strings.Contains(first, ".")
	return !domain && !strings.HasPrefix(function, "main.")
}
