// Command rolling restarts replicas in turn, behind nginx and under load, and tells what that has cost: requests and
// streams that failed, and requests that a replica had taken and dropped, which nginx has hidden by asking the other.
//
// It needs nginx on the PATH, and the loopback addresses that Linux has: 127.0.0.2 and 127.0.0.3.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/grove-go/grove/examples/internal/kit"
)

func main() {
	if addr := os.Getenv(eventsVariable); addr != "" {
		os.Exit(kit.Exit(os.Stderr, "events", serveEvents(context.Background(), addr)))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := kit.Exit(os.Stderr, "rolling", run(ctx, os.Args[1:]))
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("rolling", flag.ContinueOnError)
	requests := fs.Int64("requests", 100_000, "send at least `n` requests")
	clients := fs.Int("clients", 16, "send them on `n` connections that are kept alive")
	streams := fs.Int("streams", 16, "have `n` streams of events open meanwhile")
	if err := kit.Parse(fs, args, os.Getenv); err != nil {
		return err
	}
	l := &load{requests: *requests}
	if err := l.roll(ctx, *clients, *streams); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, l) //nolint:errcheck // there is nobody else to tell
	if l.failures() > 0 {
		return errors.New("something was lost")
	}
	return nil
}
