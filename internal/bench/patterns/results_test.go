package patterns_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/grove-go/grove/taskgroup"
)

func Example_async() {
	err := taskgroup.Run(context.Background(), func(ctx context.Context, g *taskgroup.Group) error {
		user := taskgroup.Async(g, func(ctx context.Context) (string, error) { return loadUser(ctx, 7) })
		orders := taskgroup.Async(g, func(ctx context.Context) ([]string, error) { return loadOrders(ctx, 7) })
		u, err := user.Await(ctx)
		if err != nil {
			return err
		}
		o, err := orders.Await(ctx)
		if err != nil {
			return err
		}
		fmt.Println(u, o)
		return nil
	})
	fmt.Println(err)
	// Output:
	// user 7 [order 1 order 2]
	// <nil>
}

func Example_mapThatKeepsGoing() {
	items := []string{"axe", "?", "spade"}
	prices, err := taskgroup.Map(context.Background(), 8, items, price, taskgroup.KeepGoing())
	fmt.Println(prices, errors.Is(err, errNotFound)) // zero where an item failed
	// Output: [3 0 5] true
}

// lines yields the lines of r; a read error ends them and goes to *failed.
func lines(r io.Reader, failed *error) iter.Seq[string] {
	return func(yield func(string) bool) {
		s := bufio.NewScanner(r)
		for s.Scan() {
			if !yield(s.Text()) {
				return
			}
		}
		*failed = s.Err()
	}
}

func total(ctx context.Context, order io.Reader) (sum int, err error) {
	var readErr error
	for p, err := range taskgroup.Stream(ctx, 8, lines(order, &readErr), price) {
		if err != nil {
			return 0, err
		}
		sum += p
		if sum > 1000 {
			return 0, errTooDear // cancels and joins what is under way
		}
	}
	return sum, readErr
}

func Example_stream() {
	fmt.Println(total(context.Background(), strings.NewReader("axe\nsaw\nspade")))
	fmt.Println(total(context.Background(), strings.NewReader(strings.Repeat("spade\n", 1000))))
	// Output:
	// 11 <nil>
	// 0 too dear
}

func consume(ctx context.Context, messages <-chan string) error {
	in := func(yield func(string) bool) {
		for {
			select {
			case m, ok := <-messages:
				if !ok || !yield(m) {
					return
				}
			case <-ctx.Done(): // a sequence that blocks must notice it
				return
			}
		}
	}
	return taskgroup.ForEach(ctx, 8, in, remove)
}

func Example_channel() {
	messages := make(chan string, 2)
	messages <- "a"
	messages <- "b"
	close(messages)
	fmt.Println(consume(context.Background(), messages))
	// Output: <nil>
}

func Example_streamThatKeepsGoing() {
	items := slices.Values([]string{"axe", "?", "spade"})
	for p, err := range taskgroup.Ordered(context.Background(), 8, items, price, taskgroup.KeepGoing()) {
		var failure *taskgroup.TaskError
		switch {
		case errors.As(err, &failure):
			fmt.Println("skip it:", failure.Err)
		case err != nil:
			fmt.Println("the loop ended:", err)
		default:
			fmt.Println(p)
		}
	}
	// Output:
	// 3
	// skip it: no price for ?: not found
	// 5
}
