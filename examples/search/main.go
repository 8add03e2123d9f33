// Command search serves searches over the names of the Unicode characters, on nothing but itself or, when told where
// they are, on Redis and Postgres. See the README of the examples.
package main

import (
	"context"
	"io"
	"os"

	"github.com/grove-go/grove/examples/internal/kit"
)

func main() {
	os.Exit(kit.Exit(os.Stderr, "search", run(context.Background(), os.Args[1:], os.Getenv, os.Stderr)))
}

// run serves until a signal or the end of ctx asks for a stop, and returns when the stop is over.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	c, err := configure(args, getenv, stderr)
	if err != nil {
		return err
	}
	return serve(ctx, c, stderr)
}
