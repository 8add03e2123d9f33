package grove_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/taskgroup"
)

// The first program of the README, with its functions.
func Example() {
	user, news := func(context.Context) error { return nil }, func(ctx context.Context) error {
		<-ctx.Done() // a service that does not answer
		return ctx.Err()
	}

	ctx, cancel := deadline.With(context.Background(), "page", 50*time.Millisecond)
	defer cancel()
	err := taskgroup.Run(ctx, func(ctx context.Context, g *taskgroup.Group) error {
		g.Go(user)
		g.Go(news)
		return nil
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// deadline: page: 50ms exceeded (1 canceled)
	// true
}
