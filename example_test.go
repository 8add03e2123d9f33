package grove_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/taskgroup"
)

// The first program of the README.
func Example() {
	ctx, cancel := deadline.With(context.Background(), "page", 50*time.Millisecond)
	defer cancel()
	err := taskgroup.Run(ctx, func(ctx context.Context, g *taskgroup.Group) error {
		g.Go(func(context.Context) error { return nil })                         // a service that answers
		g.Go(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }) // one that does not
		return nil
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// deadline: page: 50ms exceeded (1 canceled)
	// true
}
