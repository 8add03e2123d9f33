package looplag

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// A Cause is the reason for lag.
type Cause uint8

const (
	// CauseNone: nothing is late enough to have a cause.
	CauseNone Cause = iota
	// CauseGCSTW: the garbage collector stopped the world.
	CauseGCSTW
	// CauseOtherSTW: something else stopped the world: runtime.ReadMemStats, a goroutine profile.
	CauseOtherSTW
	// CauseCPUThrottled: the cgroup had used up its CPU quota.
	CauseCPUThrottled
	// CauseCPUSaturated: goroutines wanted to run on every processor of GOMAXPROCS.
	CauseCPUSaturated
	// CauseBlockingCalls: many goroutines were in system calls and cgo, four or more for each processor of GOMAXPROCS; and
	// either half as many as wanted to run, or the processors were not at work though goroutines wanted to run.
	CauseBlockingCalls
	// CauseOSDelay: the operating system did not run the process's threads though they could have run: a crowded machine, a
	// stolen virtual CPU, SIGSTOP.
	CauseOSDelay
	// CauseUnknown: none of the above.
	CauseUnknown

	causes = iota
)

var causeNames = [causes]string{
	CauseNone:          "none",
	CauseGCSTW:         "gc_stw",
	CauseOtherSTW:      "other_stw",
	CauseCPUThrottled:  "cpu_throttled",
	CauseCPUSaturated:  "cpu_saturated",
	CauseBlockingCalls: "blocking_calls",
	CauseOSDelay:       "os_delay",
	CauseUnknown:       "unknown",
}

// String returns the name of the cause as metrics write it, such as "gc_stw", and "none" for CauseNone.
func (c Cause) String() string {
	if c >= causes {
		return fmt.Sprintf("cause(%d)", uint8(c))
	}
	return causeNames[c]
}

// MarshalText returns [Cause.String].
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText sets the cause to the one of that name.
func (c *Cause) UnmarshalText(name []byte) error {
	i := slices.Index(causeNames[:], string(name))
	if i < 0 {
		return fmt.Errorf("looplag: no cause %q", name)
	}
	*c = Cause(i)
	return nil
}

// infer is the cause of a wait that nothing measured explains: demand goroutines ran or wanted to, outside of them were
// in system calls and cgo, and the tick was late by lag.
func infer(demand, outside int, lag time.Duration) Cause {
	processors := runtime.GOMAXPROCS(0)
	switch {
	case manyOutside(outside) && outside >= demand/2:
		// Before the scheduler takes a processor away from a goroutine that blocks in the kernel, up to 10 ms pass.
		return CauseBlockingCalls
	case demand >= processors:
		return CauseCPUSaturated
	case lag >= late:
		return CauseOSDelay
	default:
		return CauseUnknown
	}
}

// manyOutside reports whether more goroutines are in system calls and cgo than could be for a moment each.
func manyOutside(outside int) bool { return outside >= 4*runtime.GOMAXPROCS(0) }

// lost is how much time was lost to each cause.
type lost [causes]time.Duration

// since is the difference of l and an earlier state.
func (l lost) since(old lost) lost {
	for c := range l {
		l[c] -= old[c]
	}
	return l
}

// A suspicion is what was inferred since the kernel was read last.
type suspicion struct {
	lost
	outside time.Duration // the part of CauseCPUSaturated in which many goroutines were outside as well
	until   time.Duration // when the last of it was
}

// add is s and that d was lost to cause until now, when outside goroutines were in system calls and cgo.
func (s suspicion) add(cause Cause, d, now time.Duration, outside int) suspicion {
	s.lost[cause] += d
	s.until = now
	if cause == CauseCPUSaturated && manyOutside(outside) {
		s.outside += d
	}
	return s
}

// split returns what of the suspicion, which began at from, was before at, and the rest.
func (s suspicion) split(from, at time.Duration) (before, rest suspicion) {
	share := 1.0
	if at < s.until {
		share = float64(at-from) / float64(s.until-from)
	}
	rest = s
	for c, d := range s.lost {
		before.lost[c] = time.Duration(share * float64(d))
		rest.lost[c] -= before.lost[c]
	}
	before.outside = time.Duration(share * float64(s.outside))
	rest.outside -= before.outside
	return before, rest
}

// settle corrects a suspicion by what the kernel counted meanwhile, the difference of two readings.
func (s suspicion) settle(r reading) lost {
	l := s.lost
	if !r.os.OK {
		return l
	}
	// While goroutines wanted to run on every processor, every processor should have been at work all the time. If it was
	// not, and no quota forbade it, goroutines took processors with them into blocking calls; or else it was the operating
	// system that did not run the rest: for other processes' sake, or because it stopped this one.
	processors := time.Duration(min(runtime.GOMAXPROCS(0), runtime.NumCPU()))
	idle := max(0, l[CauseCPUSaturated]-(r.os.Ran+r.cpu.Throttled)/processors)
	blocked := time.Duration(float64(idle) * float64(s.outside) / float64(max(1, l[CauseCPUSaturated])))
	// Otherwise processors were free, and what threads waited for was one of the machine.
	waited := min(l[CauseUnknown], max(0, r.os.Waited-r.cpu.Throttled))
	l[CauseCPUSaturated] -= idle
	l[CauseBlockingCalls] += blocked
	l[CauseUnknown] -= waited
	l[CauseOSDelay] += idle - blocked + waited
	return l
}

// plus is the sum of l and more.
func (l lost) plus(more lost) lost {
	for c := range l {
		l[c] += more[c]
	}
	return l
}

// sum is the time lost to all causes.
func (l lost) sum() (d time.Duration) {
	for c := range l {
		d += l[c]
	}
	return d
}

// dominant is the cause of most of the time lost in a window, of which inferred was waited for a cause that is inferred
// and measured was lost to one that is measured. It is CauseNone if less than a hundredth of the window was lost: then
// not even P99 is late.
func dominant(inferred, measured lost, window time.Duration) Cause {
	waited, known := inferred.sum(), measured.sum()
	if max(waited, known) < window/100 {
		return CauseNone
	}
	// What is measured delayed the probes too: only the rest of the waits needs another cause.
	rest := float64(max(0, waited-known)) / float64(max(1, waited))
	most, mostLost := CauseNone, -1.0
	for c := range measured {
		if d := float64(measured[c]) + rest*float64(inferred[c]); d > mostLost {
			most, mostLost = Cause(c), d
		}
	}
	return most
}
