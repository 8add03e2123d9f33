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
	"strconv"
	"syscall"

	"github.com/grove-go/grove/examples/internal/kit"
)

func main() {
	if addr := os.Getenv(eventsVariable); addr != "" {
		os.Exit(kit.Exit(os.Stderr, "events", serveEvents(context.Background(), addr)))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := kit.Exit(os.Stderr, "rolling", run(ctx, os.Args[1:]))
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("rolling", flag.ContinueOnError)
	requests, clients, streams := count{100_000, 1}, count{16, 1}, count{16, 0}
	fs.Var(&requests, "requests", "send at least `n` requests")
	fs.Var(&clients, "clients", "send them on `n` connections that are kept alive")
	fs.Var(&streams, "streams", "have `n` streams of events open meanwhile")
	if err := kit.Parse(fs, args, os.Getenv); err != nil {
		return err
	}
	l := &load{requests: int64(requests.n)}
	if err := l.roll(ctx, clients.n, streams.n); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, l) //nolint:errcheck // there is nobody else to tell
	if l.failures() > 0 {
		return errors.New("something was lost")
	}
	return nil
}

// count is the flag.Value of how many there are of something, at least so many.
type count struct{ n, least int }

// String returns the number.
func (c *count) String() string { return strconv.Itoa(c.n) }

// Set accepts a whole number that is not too low.
func (c *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < c.least {
		return fmt.Errorf("want a whole number from %d", c.least)
	}
	c.n = n
	return nil
}
