// Command table runs the benchmarks of internal/bench and prints one Markdown table: Grove's median time and, for
// each other implementation, the ratio of Grove's median to its. Of memory it prints the difference.
//
//	go run ./internal/bench/cmd/table [-bench regexp] [-count 20] [-benchtime 20ms] [-cpu 1,2,4] [-v]
//
// Each round runs every case once, all implementations of a case back to back and in an order that is drawn by lot, so that
// noise of the machine and what a neighbour leaves behind hit everybody alike. With -v the single results go to
// standard error in the format of go test; benchstat -col /impl tells from them which differences are more than noise.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/grove-go/grove/internal/bench"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("table", flag.ContinueOnError)
	flags.SetOutput(stderr)
	filter := flags.String("bench", "", "run only cases whose name matches this `regexp`")
	count := flags.Int("count", 20, "run `n` rounds")
	benchtime := flags.String("benchtime", "20ms", "run each implementation for `t` in each round, or N times with Nx")
	cpu := flags.String("cpu", strconv.Itoa(runtime.GOMAXPROCS(0)), "run with each of these `values` of GOMAXPROCS")
	verbose := flags.Bool("v", false, "write the single results to standard error")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *count < 1 {
		return fmt.Errorf("-count is %d, want 1 or more", *count)
	}
	match, err := regexp.Compile(*filter)
	if err != nil {
		return fmt.Errorf("-bench: %w", err)
	}
	procs, err := parseProcs(*cpu)
	if err != nil {
		return err
	}
	testing.Init()
	if err := flag.Set("test.benchtime", *benchtime); err != nil {
		return fmt.Errorf("-benchtime=%s: %w", *benchtime, err)
	}
	if err := flag.CommandLine.Parse(nil); err != nil { // cases ask for -short, which is to be parsed before
		return err
	}

	var cases []bench.Case
	for _, c := range bench.Cases() {
		if match.MatchString(c.Name) {
			cases = append(cases, c)
		}
	}
	if len(cases) == 0 {
		return fmt.Errorf("no case matches %q", *filter)
	}
	details := io.Discard
	if *verbose {
		details = stderr
	}
	measured := make(results)
	start := time.Now()
	for round := range *count {
		if err := measured.measure(cases, procs, round, details); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(stderr, "round %d of %d after %v\n", round+1, *count, time.Since(start).Round(time.Second)); err != nil {
			return err
		}
	}
	return report(stdout, "go run ./internal/bench/cmd/table "+strings.Join(args, " "), cases, procs, measured)
}

func parseProcs(list string) ([]int, error) {
	var procs []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-cpu: %q is not a number of processors", s)
		}
		procs = append(procs, n)
	}
	return procs, nil
}

// A key names a series: what was measured, and with which GOMAXPROCS.
type key struct {
	procs      int
	name, impl string
}

// results has a series for each implementation of each case.
type results map[key]series

// measure runs each case once and leaves GOMAXPROCS as it was. What has a unit is measured in the first round only: it is not
// time, so that the others would say the same.
func (r results) measure(cases []bench.Case, procs []int, round int, details io.Writer) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, p := range procs {
		runtime.GOMAXPROCS(p)
		for _, c := range cases {
			if c.Unit != "" && round > 0 {
				continue
			}
			for _, i := range rand.Perm(len(c.Impls)) {
				impl := c.Impls[i]
				name := fmt.Sprintf("BenchmarkPeers/%s/impl=%s-%d", c.Name, impl.Name, p)
				res := testing.Benchmark(impl.Bench)
				if res.N == 0 {
					return fmt.Errorf("%s failed; go test prints why", name)
				}
				if _, err := fmt.Fprintf(details, "%s\t%s\t%s\n", name, res, res.MemString()); err != nil {
					return err
				}
				k := key{p, c.Name, impl.Name}
				r[k] = append(r[k], res)
			}
		}
	}
	return nil
}
