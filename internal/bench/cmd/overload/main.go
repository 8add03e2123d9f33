// Command overload offers examples/search from half to three times what it can do, with and without shedding, and
// prints what came of it as a table and a plot: how docs/shedding.md got its figures.
//
//	go run ./internal/bench/cmd/overload [-step 2s] [-keep results.json] [-svg docs/overload.svg] >table.md
//
// The server has one processor and the load generator, which is in open loop, another. Searches are for two words
// each, so that hardly any is in the cache. Loads are percentages of the rate at which the server, kept busy by 16 clients,
// answers; an answer within 100 ms is good.
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
	"strings"
	"time"

	"github.com/grove-go/grove/internal/load"
	"github.com/grove-go/grove/looplag/shed"
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
	kept := flags.String("keep", "", "keep results in this `file`, and measure again only those that were disturbed")
	svg := flags.String("svg", "", "draw a plot into this `file`")
	if err := flags.Parse(args); err != nil {
		return err
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
	if x.Saturation == 0 {
		if err := x.saturate(ctx); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(stderr, "saturation: %.0f/s\n", x.Saturation); err != nil {
		return err
	}
	if err := x.offer(ctx); err != nil {
		return err
	}
	var rows []load.Row
	for _, p := range x.Points {
		rows = append(rows, load.Row{Name: fmt.Sprintf("%s, %.0f %%, shed %d", p.Mode, p.Percent, p.Shed), Result: p.Result})
	}
	if err := load.Table(stdout, fmt.Sprintf("search, load as a share of %.0f/s", x.Saturation), rows); err != nil {
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

// A point is what came of a load, in percent of saturation, and how many requests the shedder refused of all that were
// sent for it, warm-up and repetitions included. The others of those refused were so by the queue before the database.
type point struct {
	Mode    string
	Percent float64
	Shed    uint64
	load.Result
}

// record is what is kept from run to run.
type record struct {
	Saturation float64 // requests per second
	Points     []*point
}

// find returns the point of a mode and a load, which it makes if there is none.
func (r *record) find(m mode, percent float64) *point {
	for _, p := range r.Points {
		if p.Mode == m.name && p.Percent == percent {
			return p
		}
	}
	p := &point{Mode: m.name, Percent: percent, Result: load.Result{Intruders: 1}}
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

// saturate finds the unit of loads.
func (x *experiment) saturate(ctx context.Context) error {
	return x.withServer(ctx, modes[0], func(server *load.Process, client *http.Client) (err error) {
		x.Saturation, err = server.Saturation(ctx, client, searches(server), 3*time.Second, x.patience)
		return err
	})
}

// offer measures all loads, each in all modes one after the other.
func (x *experiment) offer(ctx context.Context) error {
	return x.withServer(ctx, modes[0], func(without *load.Process, client *http.Client) error {
		return x.withServer(ctx, modes[1], func(with *load.Process, _ *http.Client) error {
			for _, percent := range []float64{50, 80, 90, 100, 150, 200, 300} {
				for i, server := range []*load.Process{without, with} {
					p := x.find(modes[i], percent)
					if p.Intruders <= load.Undisturbed {
						continue
					}
					if err := x.measure(ctx, server, client, p); err != nil {
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

// refusedBy asks a server how many requests its shedder has refused.
func refusedBy(ctx context.Context, server *load.Process) (uint64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.Debug+"/debug/grove", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read, or is broken
	var status struct{ Shed shed.Stats }
	err = json.NewDecoder(resp.Body).Decode(&status)
	return status.Shed.Refused.Normal, err
}

// measure measures p, unless what is known of it was less disturbed.
func (x *experiment) measure(ctx context.Context, server *load.Process, client *http.Client, p *point) error {
	before, err := refusedBy(ctx, server)
	if err != nil {
		return err
	}
	r, err := server.Measure(ctx, client, searches(server), load.Config{
		Rate: x.Saturation * p.Percent / 100, WarmUp: time.Second, Duration: x.step, SLO: objective, Seed: uint64(p.Percent),
	}, x.patience)
	if err != nil {
		return err
	}
	after, err := refusedBy(ctx, server)
	if err != nil {
		return err
	}
	if r.Intruders < p.Intruders {
		p.Result, p.Shed = r, after-before
	}
	_, err = fmt.Fprintf(x.stderr, "%s, %.0f %%: goodput %.2f, p99 %v, refused %d, %d by the shedder, others took %.0f %%\n",
		p.Mode, p.Percent, r.Goodput/x.Saturation, r.P99, r.Refused, after-before, 100*r.Intruders)
	return err
}

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

// words occur in the names of characters.
var words = strings.Fields(`snow arrow latin small letter capital greek cyrillic with above below circle square black white
	heavy double left right up down sign symbol face hand star moon sun digit number roman hebrew arabic thai tibetan
	mongolian box light vertical horizontal triangle diamond heart music note chess king queen cat dog tree flower water
	fire house car ship train clock book pen key lock bell flag ball hat`)

// searches asks for two words and a random number of results.
func searches(server *load.Process) load.Request {
	return func(ctx context.Context, _ int) (*http.Request, error) {
		q := words[rand.IntN(len(words))] + " " + words[rand.IntN(len(words))]
		u := fmt.Sprintf("%s/search?q=%s&limit=%d", server.URL, url.QueryEscape(q), 1+rand.IntN(100))
		return http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	}
}
