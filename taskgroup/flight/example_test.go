package flight_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grove-go/grove/taskgroup/flight"
)

// A load of one's own and its context: the caller that gives up gets its answer at once, and the load, which nobody else
// waits for, is told to stop.
func ExampleGroup() {
	var prices flight.Group[string, int]

	price, _, err := prices.Do(context.Background(), "tea", func(context.Context) (int, error) {
		return 4, nil // SELECT price FROM …
	})
	fmt.Println(price, err)

	ctx, cancel := context.WithCancelCause(context.Background())
	stopped := make(chan error)
	_, _, err = prices.Do(ctx, "coffee", func(ctx context.Context) (int, error) {
		cancel(errors.New("client went away"))
		<-ctx.Done()
		stopped <- context.Cause(ctx)
		return 0, ctx.Err()
	})
	fmt.Println(err)
	fmt.Println(<-stopped)
	// Output:
	// 4 <nil>
	// client went away
	// context canceled
}

// A load that began before something changed may return what was true before. Forget lets those who come after the change
// have a load of their own.
func ExampleGroup_Forget() {
	var prices flight.Group[string, int]
	table := 4
	ctx := context.Background()

	before, _, _ := prices.Do(ctx, "tea", func(ctx context.Context) (int, error) {
		read := table
		table = 5
		prices.Forget("tea")
		after, shared, _ := prices.Do(ctx, "tea", func(context.Context) (int, error) { return table, nil })
		fmt.Println("after:", after, "shared:", shared)
		return read, nil
	})
	fmt.Println("before:", before)
	// Output:
	// after: 5 shared: false
	// before: 4
}

// The Timeout is the load's, whatever the callers' deadlines are, and its error says which load it was.
func ExampleTimeoutError() {
	prices := flight.Group[string, int]{Timeout: time.Millisecond}

	_, _, err := prices.Do(context.Background(), "tea", func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, fmt.Errorf("query: %w", ctx.Err())
	})
	fmt.Println(err)

	_, late := errors.AsType[*flight.TimeoutError](err)
	fmt.Println(late, errors.Is(err, context.DeadlineExceeded))
	// Output:
	// flight: load of tea: 1ms exceeded: query: context deadline exceeded
	// true true
}

// The panic of a load is an error like any other to those who wait, and has the stack of the load.
func ExamplePanicError() {
	var prices flight.Group[string, int]

	_, _, err := prices.Do(context.Background(), "tea", func(context.Context) (int, error) {
		panic("row without a price")
	})
	if p, ok := errors.AsType[*flight.PanicError](err); ok {
		fmt.Println(p.Summary())
	}
	// Output:
	// panic in load of tea: row without a price
}
