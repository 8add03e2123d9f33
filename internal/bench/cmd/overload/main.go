// Command overload offers examples/search from half to three times what it can do, with and without shedding, and
// prints what came of it as a table and a plot: how docs/shedding.md got its figures.
//
//	go run ./internal/bench/cmd/overload [-step 5s] [-svg docs/overload.svg] >table.md
//
// The server has one processor and the load generator, which is in open loop, another. Searches are for two words
// each, so that hardly any is in the cache. The knee is the highest of the loads that are tried at which 99 % of the
// searches are answered within 100 ms; all others are multiples of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
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
	step := flags.Duration("step", 5*time.Second, "measure each load for `d`, after a second that does not count")
	patience := flags.Duration("patience", time.Minute, "repeat a measurement that other processes disturb for `d`")
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
	x := &experiment{binary: binary, step: *step, patience: *patience, stderr: stderr}
	if err := x.findKnee(ctx); err != nil {
		return err
	}
	for _, m := range modes {
		if err := x.offer(ctx, m); err != nil {
			return err
		}
	}
	var rows []load.Row
	for _, m := range modes {
		for _, p := range x.points[m] {
			rows = append(rows, load.Row{Name: fmt.Sprintf("%s, %.0f %%", m.name, p.percent), Result: p.Result})
		}
	}
	if err := load.Table(stdout, fmt.Sprintf("search, load as a share of %.0f/s", x.knee), rows); err != nil {
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

// A point is what came of a load, in percent of the knee.
type point struct {
	percent float64
	load.Result
}

type experiment struct {
	binary         string
	step, patience time.Duration
	stderr         io.Writer

	knee   float64 // requests per second
	points map[mode][]point
}

// objective is within which time 99 % of the searches are answered up to the knee.
const objective = 100 * time.Millisecond

// findKnee tries loads without shedding.
func (x *experiment) findKnee(ctx context.Context) error {
	return x.withServer(ctx, modes[0], func(server *load.Process, client *http.Client) error {
		saturation, err := server.Saturation(ctx, client, searches(server), 3*time.Second, x.patience)
		if err != nil {
			return err
		}
		for percent := 60.0; percent <= 100; percent += 5 {
			rate := saturation * percent / 100
			r, err := x.measure(ctx, server, client, rate)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(x.stderr, "knee? %.0f/s, %.0f %% of saturation: p99 %v, goodput %.0f, others took %.0f %%\n",
				rate, percent, r.P99, r.Goodput, 100*r.Intruders); err != nil {
				return err
			}
			if r.P99 > objective || r.Goodput < 0.97*r.Achieved {
				break
			}
			x.knee = rate
		}
		if x.knee == 0 {
			return fmt.Errorf("at 60 %% of %.0f/s more than one search in a hundred takes longer than %v", saturation, objective)
		}
		return nil
	})
}

// offer measures a mode under all loads.
func (x *experiment) offer(ctx context.Context, m mode) error {
	return x.withServer(ctx, m, func(server *load.Process, client *http.Client) error {
		for _, percent := range []float64{50, 80, 90, 100, 125, 150, 200, 250, 300} {
			r, err := x.measure(ctx, server, client, x.knee*percent/100)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(x.stderr, "%s, %.0f %%: goodput %.2f, p99 %v, refused %d, others took %.0f %%\n",
				m.name, percent, r.Goodput/x.knee, r.P99, r.Refused, 100*r.Intruders); err != nil {
				return err
			}
			if x.points == nil {
				x.points = make(map[mode][]point)
			}
			x.points[m] = append(x.points[m], point{percent, r})
		}
		return nil
	})
}

func (x *experiment) measure(ctx context.Context, server *load.Process, client *http.Client, rate float64) (load.Result, error) {
	return server.Measure(ctx, client, searches(server), load.Config{
		Rate: rate, WarmUp: time.Second, Duration: x.step, SLO: objective, Seed: uint64(rate),
	}, x.patience)
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
