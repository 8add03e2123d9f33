// Command shedlaw looks for the law by which a server that has more to do than it can should refuse requests. It runs
// an HTTP server whose handler computes, once for each law and load, and prints what came of them.
//
//	go run ./internal/bench/cmd/shedlaw [-laws none,pi] [-loads 80,100,200] [-work 1ms] [-step 5s]
//
// The server has one processor and the load generator, which is in open loop, another (by taskset, where there is
// one). Loads are percentages of the rate at which a server without a law, kept busy by 16 clients, answers before and after
// each measurement.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grove-go/grove/internal/load"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "shedlaw:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("shedlaw", flag.ContinueOnError)
	flags.SetOutput(stderr)
	laws := flags.String("laws", strings.Join(names(), ","), "compare these `laws`")
	loads := flags.String("loads", "50,80,90,100,150,200,300", "at these `percentages` of saturation")
	step := flags.Duration("step", 5*time.Second, "measure each for `d`, after a second that does not count")
	work := flags.Duration("work", time.Millisecond, "keep the processor busy for `d` in the mean, exponentially distributed")
	serving := flags.String("serve", "", "be the server, with this `law`")
	patience := flags.Duration("patience", time.Minute, "repeat a measurement that other processes disturb for `d`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *serving != "" {
		return serve(ctx, *serving, *work, stderr)
	}
	chosen := strings.Split(*laws, ",")
	for _, name := range chosen {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("-laws: %q is none of %s", name, strings.Join(names(), ", "))
		}
	}
	var percentages []float64
	for s := range strings.SplitSeq(*loads, ",") {
		p, err := strconv.ParseFloat(s, 64)
		if err != nil || p <= 0 {
			return fmt.Errorf("-loads: %q is no percentage", s)
		}
		percentages = append(percentages, p)
	}
	x := experiment{work: *work, step: *step, patience: *patience, stderr: stderr}
	return x.run(ctx, chosen, percentages, stdout)
}

// An experiment runs laws under loads.
type experiment struct {
	work, step, patience time.Duration
	stderr               io.Writer
}

func (x *experiment) run(ctx context.Context, laws []string, loads []float64, stdout io.Writer) error {
	var rows []load.Row
	err := x.withServer(ctx, "none", func(reference *load.Process) error {
		for _, law := range laws {
			err := x.withServer(ctx, law, func(server *load.Process) error {
				client := load.NewClient(0)
				defer client.CloseIdleConnections()
				for _, percent := range loads {
					r, err := x.measure(ctx, server, reference, client, law, percent)
					if err != nil {
						return err
					}
					rows = append(rows, r)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, load.Table(stdout, "law, load, goodput as a share of capacity", rows))
}

// measure loads a server.
func (x *experiment) measure(ctx context.Context, server, reference *load.Process, client *http.Client, law string, percent float64) (load.Row, error) {
	r, err := server.Measure(ctx, client, load.Relative{
		Share: percent / 100, Reference: reference, Requests: get,
		Config: load.Config{WarmUp: time.Second, Duration: x.step, Seed: uint64(percent)},
	}, x.patience)
	if err != nil {
		return load.Row{}, err
	}
	name := fmt.Sprintf("%s at %.0f %%: %.2f", law, percent, r.Goodput/r.Capacity)
	_, err = fmt.Fprintf(x.stderr, "%s, refused %.1f %%, p50 %v, p99 %v, generator late %v, others took %.0f %%, drift %.0f %%\n", name,
		100*float64(r.Refused)/float64(max(1, r.Refused+r.Accepted)), r.P50, r.P99, r.Late, r.Intruders*100, r.Drift*100)
	return load.Row{Name: name, Result: r}, err
}

// get asks a server for its one page.
func get(server *load.Process) load.Request {
	return func(ctx context.Context, _ int) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	}
}

// withServer runs f beside a server on a processor of its own.
func (x *experiment) withServer(ctx context.Context, law string, f func(*load.Process) error) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server, err := load.Start(ctx, io.Discard, self, "-serve", law, "-work", x.work.String())
	if err != nil {
		return err
	}
	defer server.Stop()
	return f(server)
}
