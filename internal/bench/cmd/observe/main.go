// Command observe prints what observing costs, in four steps, or those that are named:
//
//	go run ./internal/bench/cmd/observe [hooks] [table] [page] [search]
//
// "hooks" compares groups and calls that nobody observes with the same in a build that cannot be observed. "table" is
// the table of docs/observe.md, "page" a look at the live page, "search" a whole server. It runs at the top of the
// repository.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "observe:", err)
		os.Exit(1)
	}
}

type step struct {
	name string
	run  func(stdout io.Writer) error
}

var steps = []step{
	{"hooks", hooks},
	{"table", command("run", "./internal/bench/cmd/table", "-bench", "^observe", "-count", "20", "-benchtime", "5ms", "-cpu", "1,2")},
	{"page", command("test", "./observe", "-run", "^$", "-bench", "^BenchmarkPage$", "-benchtime", "20x", "-count", "6")},
	{"search", search},
}

func run(names []string, stdout io.Writer) error {
	for _, name := range names {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.name == name }) {
			return fmt.Errorf("there is no step %q", name)
		}
	}
	for _, s := range steps {
		if len(names) == 0 || slices.Contains(names, s.name) {
			if _, err := fmt.Fprintf(stdout, "\n# %s\n\n", s.name); err != nil {
				return err
			}
			if err := s.run(stdout); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

func command(args ...string) func(io.Writer) error {
	return func(stdout io.Writer) error {
		c := exec.CommandContext(context.Background(), "go", args...)
		c.Stdout, c.Stderr = stdout, os.Stderr
		return c.Run()
	}
}

// edits are what makes groups and calls ones that cannot be observed: what stands in a file, and what takes its place.
var edits = []struct{ file, old, replacement string }{
	{"taskgroup/watch.go", "hooks, outer := watching(g.parent)", "var hooks *Hooks\n\tvar outer *watch"},
	{"executor/hooks.go", "if all := p.observers.Load(); all != nil {\n\t\tc.observers", "if all := new(observers); false {\n\t\tc.observers"},
}

// overlay writes the edited files to dir, and what tells the go command of them.
func overlay(dir string) (file string, err error) {
	replace := make(map[string]string)
	for i, e := range edits {
		text, err := os.ReadFile(e.file)
		if err != nil {
			return "", err
		}
		if bytes.Count(text, []byte(e.old)) != 1 {
			return "", fmt.Errorf("%s no longer has %q", e.file, e.old)
		}
		from, err := filepath.Abs(e.file)
		if err != nil {
			return "", err
		}
		replace[from] = filepath.Join(dir, strconv.Itoa(i)+".go")
		if err := os.WriteFile(replace[from], bytes.Replace(text, []byte(e.old), []byte(e.replacement), 1), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, text, 0o600)
}

// rounds is how often both builds take their turn.
const rounds = 20

// hooks prints the medians of both builds, and their ratio.
func hooks(stdout io.Writer) error {
	dir, err := os.MkdirTemp("", "grove-observe")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system does it, else
	file, err := overlay(dir)
	if err != nil {
		return err
	}
	builds := [2]string{filepath.Join(dir, "hooks.test"), filepath.Join(dir, "none.test")}
	for i, flags := range [][]string{nil, {"-overlay", file}} {
		if err := command(append(append([]string{"test", "-c", "-o", builds[i]}, flags...), "./internal/bench")...)(stdout); err != nil {
			return err
		}
	}
	var times [2]map[string][]float64
	for i := range times {
		times[i] = make(map[string][]float64)
	}
	for round := range rounds {
		for turn := range builds {
			i := (round + turn) % 2
			if err := measure(builds[i], times[i]); err != nil {
				return err
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s %12s %14s %8s\n", "case", "nil hooks", "without hooks", "ratio")
	for _, name := range slices.Sorted(maps.Keys(times[0])) {
		with, without := median(times[0][name]), median(times[1][name])
		fmt.Fprintf(&b, "%-20s %9.1f ns %11.1f ns %8.3f\n", name, with, without, with/without)
	}
	_, err = io.WriteString(stdout, b.String())
	return err
}

var result = regexp.MustCompile(`(?m)^BenchmarkPeers/observe/(\S+)/impl=unobserved\S*\s+\d+\s+([\d.]+) ns/op`)

func measure(binary string, times map[string][]float64) error {
	out, err := exec.CommandContext(context.Background(), binary, "-test.run", "^$", "-test.benchtime", "20ms",
		"-test.bench", "^BenchmarkPeers$/^observe$/^group$/./^impl=unobserved$|^BenchmarkPeers$/^observe$/^call$/^impl=unobserved$").Output()
	if err != nil {
		return err
	}
	found := result.FindAllStringSubmatch(string(out), -1)
	if len(found) == 0 {
		return fmt.Errorf("there are no results in %q", strings.TrimSpace(string(out)))
	}
	for _, m := range found {
		t, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return err
		}
		times[m[1]] = append(times[m[1]], t)
	}
	return nil
}

// processes is in how many processes the server is measured: they differ by more than each tells of its error, and a
// second run within one is not independent of the first.
const processes = 6

// search prints what the runs come to, and the medians.
func search(stdout io.Writer) error {
	dir, err := os.MkdirTemp("", "grove-observe")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system does it, else
	binary := filepath.Join(dir, "search.test")
	if err := command("test", "-c", "-o", binary, "./examples/search")(stdout); err != nil {
		return err
	}
	ratios := make(map[string][]float64)
	for range processes {
		c := exec.CommandContext(context.Background(), binary, "-test.run", "^$", "-test.bench", "^BenchmarkObserved$", "-test.benchtime", "15s")
		c.Stderr = os.Stderr
		out, err := c.Output()
		if err != nil {
			return err
		}
		if err := gather(string(out), ratios); err != nil {
			return err
		}
		if _, err := stdout.Write(out); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ratios)) {
		if _, err := fmt.Fprintf(stdout, "%-36s median %.3f of %.3f\n", name, median(ratios[name]), ratios[name]); err != nil {
			return err
		}
	}
	return nil
}

var ratio = regexp.MustCompile(`(?m)^BenchmarkObserved/(\S+)\s.*\s([\d.]+) on/off.*\s([\d.]+) p99-on/off`)

// gather adds the ratios in the output of BenchmarkObserved, by the names of what they are the ratios of.
func gather(out string, ratios map[string][]float64) error {
	found := ratio.FindAllStringSubmatch(out, -1)
	if len(found) == 0 {
		return fmt.Errorf("there are no results in %q", strings.TrimSpace(out))
	}
	for _, m := range found {
		for i, what := range []string{"throughput", "p99"} {
			r, err := strconv.ParseFloat(m[2+i], 64)
			if err != nil {
				return err
			}
			name := m[1] + " " + what
			ratios[name] = append(ratios[name], r)
		}
	}
	return nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
