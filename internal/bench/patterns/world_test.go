package patterns_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// The world that the snippets talk to.

type Page struct {
	User   string
	Orders []string
}

var (
	errNotFound = errors.New("not found")
	errTooDear  = errors.New("too dear")
	errDown     = errors.New("does not answer")
)

func loadUser(_ context.Context, id int) (string, error) { return fmt.Sprint("user ", id), nil }

func loadOrders(context.Context, int) ([]string, error) { return []string{"order 1", "order 2"}, nil }

func price(_ context.Context, item string) (int, error) {
	if item == "?" {
		return 0, fmt.Errorf("no price for %s: %w", item, errNotFound)
	}
	return len(item), nil
}

func remove(_ context.Context, name string) error {
	if name == "missing" || name == "lost" {
		return fmt.Errorf("remove %s: %w", name, errNotFound)
	}
	return nil
}

func check(_ context.Context, service string) error {
	if service == "down" {
		return fmt.Errorf("%s %w", service, errDown)
	}
	return nil
}

func dial(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("")), nil
}

func put(ctx context.Context, replica, _ string) error { return check(ctx, replica) }

const partTime = 1500 * time.Millisecond

func send(context.Context, string) error {
	time.Sleep(partTime)
	return nil
}

func renew(ctx context.Context) error { return ctx.Err() }

// export looks at its context too rarely.
func export(ctx context.Context) error {
	time.Sleep(time.Minute)
	return ctx.Err()
}
