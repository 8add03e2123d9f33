// Command drain stops HTTP servers under load, in the ways of [bench.Drains], and prints one Markdown table: how many
// requests were lost in all drains together, and the time from the end of the last request to the return of a drain,
// median and longest.
//
//	go run ./internal/bench/cmd/drain [-drains 40]
//
// In each round everybody drains once, so that noise of the machine hits all alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/grove-go/grove/internal/bench"
)

func main() {
	drains := flag.Int("drains", 40, "drain everybody `n` times")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *drains); err != nil {
		fmt.Fprintln(os.Stderr, "drain:", err)
		os.Exit(1)
	}
}

// loads are what the servers are drained under.
var loads = []struct {
	name    string
	measure func(ctx context.Context, d bench.Drain) (bench.Drained, error)
}{
	{"16 clients keep their connections", func(ctx context.Context, d bench.Drain) (bench.Drained, error) {
		return bench.MeasureDrain(ctx, d, 16, true)
	}},
	{"16 clients connect each time", func(ctx context.Context, d bench.Drain) (bench.Drained, error) {
		return bench.MeasureDrain(ctx, d, 16, false)
	}},
	{"a request of 300 ms", func(ctx context.Context, d bench.Drain) (bench.Drained, error) {
		return bench.MeasureLongDrain(ctx, d, 300*time.Millisecond)
	}},
}

func run(ctx context.Context, out io.Writer, drains int) error {
	_, err := fmt.Fprintln(out, "| load | | lost | of | lag, median | longest |\n|---|---|---:|---:|---:|---:|")
	for _, load := range loads {
		peers := bench.Drains()
		results := make([][]bench.Drained, len(peers))
		for range drains {
			for i, p := range peers {
				d, err := load.measure(ctx, p.Do)
				if err != nil {
					return fmt.Errorf("%s: %w", p.Name, err)
				}
				results[i] = append(results[i], d)
			}
		}
		for i, p := range peers {
			var lags []time.Duration
			lost, answered := 0, 0
			for _, d := range results[i] {
				lags = append(lags, d.Lag)
				lost += d.Lost
				answered += d.Answered
			}
			slices.Sort(lags)
			_, printed := fmt.Fprintf(out, "| %s | %s | %d | %d | %v | %v |\n", load.name, p.Name, lost, lost+answered,
				lags[len(lags)/2].Round(10*time.Microsecond), lags[len(lags)-1].Round(10*time.Microsecond))
			err = errors.Join(err, printed)
		}
	}
	return err
}
