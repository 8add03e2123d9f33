// Command overload offers examples/search from half to three times what it can do, with and without shedding, and
// prints what came of it as a table and a plot: how docs/shedding.md got its figures.
//
//	go run ./internal/bench/cmd/overload [-loads 50,100] [-step 2s] [-keep results.json] [-svg docs/overload.svg] >table.md
//
// The server has one processor and the load generator, which is in open loop, another. Searches are many, so
// that hardly any is in the cache, and find something. Loads are percentages of the rate at which the server, kept busy by 16 clients,
// answers before and after each measurement; an answer within 100 ms is good.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/grove-go/grove/internal/load"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "overload:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("overload", flag.ContinueOnError)
	flags.SetOutput(stderr)
	step := flags.Duration("step", 2*time.Second, "measure each load for `d`, after a second that does not count")
	patience := flags.Duration("patience", 5*time.Second, "repeat a measurement that other processes disturb for `d`")
	loads := flags.String("loads", "50,80,90,100,150,200,300", "at these `percentages` of saturation")
	kept := flags.String("keep", "", "keep results in this `file`, and measure again only those that were disturbed")
	svg := flags.String("svg", "", "draw a plot into this `file`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var percentages []float64
	for s := range strings.SplitSeq(*loads, ",") {
		p, err := strconv.ParseFloat(s, 64)
		if err != nil || p <= 0 {
			return fmt.Errorf("-loads: %q is no percentage", s)
		}
		percentages = append(percentages, p)
	}
	dir, err := os.MkdirTemp("", "overload-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is the system's folder for what may stay behind
	binary := filepath.Join(dir, "search")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/grove-go/grove/examples/search")
	build.Stderr = stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the server: %w", err)
	}
	x := &experiment{binary: binary, step: *step, patience: *patience, stderr: stderr, kept: *kept}
	if err := x.read(*kept); err != nil {
		return err
	}
	if err := x.offer(ctx, percentages); err != nil {
		return err
	}
	if err := x.table(stdout); err != nil {
		return err
	}
	if *svg == "" {
		return nil
	}
	return x.draw(*svg)
}

// A mode is a way to run the server.
type mode struct{ name, flag string }

var modes = []mode{{"without shedding", "-shed=false"}, {"with shedding", "-shed"}}

// A point is what came of a load, in percent of saturation. What was refused and not shed was so by the queue before the
// database.
type point struct {
	Mode    string
	Percent float64
	load.Result
}

// record is what is kept from run to run.
type record struct{ Points []*point }

// find returns the point of a mode and a load, which it makes if there is none.
func (r *record) find(m mode, percent float64) *point {
	for _, p := range r.Points {
		if p.Mode == m.name && p.Percent == percent {
			return p
		}
	}
	p := &point{Mode: m.name, Percent: percent}
	r.Points = append(r.Points, p)
	return p
}

// keep writes the record to a file that read finds in the next run; no name, no file.
func (r *record) keep(file string) error {
	if file == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

func (r *record) read(file string) error {
	b, err := os.ReadFile(file)
	if file == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, r)
}

type experiment struct {
	binary         string
	step, patience time.Duration
	stderr         io.Writer

	kept string // the file of the record
	record
}

// objective is within which time an answer is good.
const objective = 100 * time.Millisecond

// offer measures loads, each in all modes one after the other.
func (x *experiment) offer(ctx context.Context, percentages []float64) error {
	return x.withServer(ctx, modes[0], func(without *load.Process, client *http.Client) error {
		return x.withServer(ctx, modes[1], func(with *load.Process, _ *http.Client) error {
			for _, percent := range percentages {
				for i, server := range []*load.Process{without, with} {
					p := x.find(modes[i], percent)
					if p.Capacity > 0 && p.Fair() {
						continue
					}
					if err := x.measure(ctx, server, without, client, p); err != nil {
						return err
					}
					if err := x.keep(x.kept); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
}

// measure measures p, unless what is known of it was less disturbed.
func (x *experiment) measure(ctx context.Context, server, reference *load.Process, client *http.Client, p *point) error {
	r, err := server.Measure(ctx, client, load.Relative{
		Share: p.Percent / 100, Reference: reference, Requests: searches,
		Config: load.Config{WarmUp: time.Second, Duration: x.step, SLO: objective, Seed: uint64(p.Percent)},
	}, x.patience)
	if err != nil {
		return err
	}
	if p.Capacity == 0 || r.Fair() || r.Intruders < p.Intruders {
		p.Result = r
	}
	_, err = fmt.Fprintf(x.stderr, "%s, %.0f %% of %.0f/s: goodput %.2f, p99 %v, refused %d, %d by the shedder, others took %.0f %%, drift %.0f %%\n",
		p.Mode, p.Percent, r.Capacity, r.Goodput/r.Capacity, r.P99, r.Refused, r.Shed, 100*r.Intruders, 100*r.Drift)
	return err
}

// table writes what came of each load.
func (x *experiment) table(w io.Writer) error {
	_, err := fmt.Fprint(w, "Loads and goodput are shares of what the server could do at the time, capacity.\n\n"+
		"| load | capacity | shedding | goodput | accepted | refused | by the shedder | given up | p50 | p99 | p99.9 | sent late, p99 | others took | drift |\n"+
		"|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, p := range x.Points {
		lost := p.TimedOut + p.Failed + p.Expired + p.Dropped
		of := func(n int) string { return inPercent(float64(n) / float64(max(1, p.Accepted+p.Refused+lost))) }
		if err == nil {
			_, err = fmt.Fprintf(w, "| %.0f %% | %.0f/s | %s | %.2f | %s | %s | %s | %s | %s | %s | %s | %s | %s | %+.0f %% |\n", p.Percent, p.Capacity,
				strings.TrimSuffix(p.Mode, " shedding"), p.Goodput/p.Capacity, of(p.Accepted), of(p.Refused), of(p.Shed), of(lost),
				millis(p.P50), millis(p.P99), millis(p.P999), millis(p.Late), inPercent(p.Intruders), 100*p.Drift)
		}
	}
	return err
}

func inPercent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func millis(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// withServer runs f beside a server.
func (x *experiment) withServer(ctx context.Context, m mode, f func(*load.Process, *http.Client) error) error {
	server, err := load.Start(ctx, io.Discard, x.binary, m.flag, "-addr", "127.0.0.1:0", "-debug", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer server.Stop()
	client := load.NewClient(0)
	defer client.CloseIdleConnections()
	return f(server, client)
}

// names are words that many characters have in their names together, so that searches find something.
var names = [][]string{
	{"latin", "small", "letter", "with"},
	{"latin", "capital", "letter", "with"},
	{"cyrillic", "small", "letter", "with"},
	{"greek", "capital", "letter", "and"},
	{"arabic", "letter", "with", "above"},
	{"mathematical", "bold", "small", "italic"},
	{"ethiopic", "syllable"},
	{"cuneiform", "sign", "times"},
	{"right", "arrow", "with", "heavy"},
}

// searches asks for what occurs in names, in a random order, some of it twice, and for a random number of results.
func searches(server *load.Process) load.Request {
	return func(ctx context.Context, _ int) (*http.Request, error) {
		name := names[rand.IntN(len(names))]
		var q []string
		for _, i := range rand.Perm(len(name))[:min(len(name), 3)] {
			q = append(q, name[i])
		}
		q = append(q, q[rand.IntN(len(q))], q[rand.IntN(len(q))])
		u := fmt.Sprintf("%s/search?q=%s&limit=%d", server.URL, url.QueryEscape(strings.Join(q, " ")), 1+rand.IntN(100))
		return http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	}
}
