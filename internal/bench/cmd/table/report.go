package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/grove-go/grove/internal/bench"
)

// A series is the results of one implementation of a case, one of each round.
type series []testing.BenchmarkResult

// median of the nanoseconds of an iteration, or of what was reported in the unit if there is one.
func (s series) median(unit string) float64 {
	values := make([]float64, len(s))
	for i, r := range s {
		if unit == "" {
			values[i] = float64(r.T.Nanoseconds()) / float64(r.N)
		} else {
			values[i] = r.Extra[unit]
		}
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// allocs is the fewest allocations of an iteration: what another round had more is the runtime's own.
func (s series) allocs() int64 {
	fewest := s[0].AllocsPerOp()
	for _, r := range s[1:] {
		fewest = min(fewest, r.AllocsPerOp())
	}
	return fewest
}

// report writes the facts of the run and the table.
func report(w io.Writer, command string, cases []bench.Case, procs []int, measured results) error {
	impls := implsOf(cases)
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`\n%s %s/%s, %s. Measured beside: %s.\n\n", strings.TrimSpace(command),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, processor(), versions(impls))
	b.WriteString("Grove: median time and allocations of an iteration. The others: Grove's median time as a multiple of theirs " +
		"(below 1, Grove is faster), and their allocations. Where a unit is given, that was measured, and the others show how " +
		"much more Grove has. P is GOMAXPROCS.\n\n| P | case |")
	for _, impl := range impls {
		fmt.Fprintf(&b, " %s |", impl)
	}
	b.WriteString(" target | |\n|--:|---|" + strings.Repeat("--:|", len(impls)) + "---|---|\n")
	met, all := 0, 0
	for _, c := range cases {
		for _, p := range procs {
			seriesOf := func(impl string) series { return measured[key{p, c.Name, impl}] }
			grove := seriesOf(bench.Grove).median(c.Unit)
			fmt.Fprintf(&b, "| %d | %s |", p, c.Name)
			for _, impl := range impls {
				switch s := seriesOf(impl); {
				case s == nil:
					b.WriteString(" |")
				case impl == bench.Grove:
					fmt.Fprintf(&b, " %s, %d |", result(c.Unit, grove), s.allocs())
				default:
					fmt.Fprintf(&b, " %s, %d |", comparison(c.Unit, compare(c.Unit, grove, s.median(c.Unit))), s.allocs())
				}
			}
			var targets, missed []string
			for _, t := range c.Targets {
				targets = append(targets, fmt.Sprintf("%s ≤ %s", t.Impl, comparison(c.Unit, t.Max)))
				if exceeds(c.Unit, compare(c.Unit, grove, seriesOf(t.Impl).median(c.Unit)), t.Max) {
					missed = append(missed, t.Impl)
				}
			}
			all += len(targets)
			met += len(targets) - len(missed)
			verdict := ""
			switch {
			case len(missed) > 0:
				verdict = "**missed: " + strings.Join(missed, ", ") + "**"
			case len(targets) > 0:
				verdict = "met"
			}
			fmt.Fprintf(&b, " %s | %s |\n", strings.Join(targets, ", "), verdict)
		}
	}
	fmt.Fprintf(&b, "\n%d of %d targets met.\n", met, all)
	_, err := io.WriteString(w, b.String())
	return err
}

// implsOf lists the implementations in the order in which the cases first name them.
func implsOf(cases []bench.Case) []string {
	var impls []string
	for _, c := range cases {
		for _, impl := range c.Impls {
			if !slices.Contains(impls, impl.Name) {
				impls = append(impls, impl.Name)
			}
		}
	}
	return impls
}

// compare returns Grove's time as a multiple of another's or, of what has a unit, how much more Grove has.
func compare(unit string, grove, other float64) float64 {
	if unit == "" {
		return grove / other
	}
	return grove - other
}

// exceeds reports whether a comparison is above a bound once it is rounded as it is printed.
func exceeds(unit string, compared, bound float64) bool {
	if unit == "" {
		return math.Round(100*compared) > math.Round(100*bound)
	}
	return math.Round(compared) > bound
}

// comparison formats what compare returns.
func comparison(unit string, compared float64) string {
	if unit == "" {
		return fmt.Sprintf("%.2f", compared)
	}
	return fmt.Sprintf("%+.0f", compared)
}

// result formats nanoseconds, or what has a unit.
func result(unit string, value float64) string {
	if unit == "" {
		return duration(value)
	}
	return fmt.Sprintf("%.0f %s", value, unit)
}

// duration formats nanoseconds with three digits.
func duration(ns float64) string {
	for _, unit := range []string{"ns", "µs", "ms"} {
		if ns < 999.5 {
			return fmt.Sprintf("%.3g %s", ns, unit)
		}
		ns /= 1000
	}
	return fmt.Sprintf("%.3g s", ns)
}

// versions names what the implementations stand for, with the versions that were linked.
func versions(impls []string) string {
	linked := make(map[string]string)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			linked[m.Path] = m.Version
		}
	}
	var list []string
	for _, impl := range impls {
		if peer, ok := bench.Peers[impl]; ok {
			list = append(list, fmt.Sprintf("%s (%s)", impl, strings.TrimSpace(peer+" "+linked[peer])))
		}
	}
	return strings.Join(list, ", ")
}

// processor is the machine's processors as Linux names them; elsewhere only their number.
func processor() string {
	count := fmt.Sprintf("%d processors", runtime.NumCPU())
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return count
	}
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return count + ", " + strings.TrimSpace(value)
		}
	}
	return count
}
