package patterns_test

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/grove-go/grove/taskgroup"
)

func pageByErrgroup(ctx context.Context, id int) (Page, error) {
	var page Page
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		page.User, err = loadUser(ctx, id)
		return err
	})
	g.Go(func() (err error) {
		page.Orders, err = loadOrders(ctx, id)
		return err
	})
	return page, g.Wait()
}

func pageByGroup(ctx context.Context, id int) (Page, error) {
	var page Page
	err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		g.Go(func(ctx context.Context) (err error) {
			page.User, err = loadUser(ctx, id)
			return err
		})
		g.Go(func(ctx context.Context) (err error) {
			page.Orders, err = loadOrders(ctx, id)
			return err
		})
		return nil
	})
	return page, err
}

func Example_errgroupWithContext() {
	fmt.Println(pageByErrgroup(context.Background(), 7))
	fmt.Println(pageByGroup(context.Background(), 7))
	// Output:
	// {user 7 [order 1 order 2]} <nil>
	// {user 7 [order 1 order 2]} <nil>
}

func pricesByErrgroup(ctx context.Context, items []string) ([]int, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	prices := make([]int, len(items))
	for i, item := range items {
		g.Go(func() (err error) {
			prices[i], err = price(ctx, item)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return prices, nil
}

func pricesByMap(ctx context.Context, items []string) ([]int, error) {
	return taskgroup.Map(ctx, 8, items, price)
}

func Example_errgroupSetLimit() {
	items := []string{"axe", "saw", "spade"}
	fmt.Println(pricesByErrgroup(context.Background(), items))
	fmt.Println(pricesByMap(context.Background(), items))
	// Output:
	// [3 3 5] <nil>
	// [3 3 5] <nil>
}

func removeByErrgroup(ctx context.Context, names []string) error {
	var g errgroup.Group // cancels nothing, and keeps only the first error
	for _, name := range names {
		g.Go(func() error { return remove(ctx, name) })
	}
	return g.Wait()
}

func removeByGroup(ctx context.Context, names []string) error {
	return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		for _, name := range names {
			g.Go(func(ctx context.Context) error { return remove(ctx, name) })
		}
		return nil
	}, taskgroup.KeepGoing())
}

func Example_errgroupZero() {
	names := []string{"a", "missing", "b", "lost"}
	fmt.Println(removeByErrgroup(context.Background(), names) != nil)
	var e *taskgroup.Error
	fmt.Println(errors.As(removeByGroup(context.Background(), names), &e), len(e.Tasks))
	// Output:
	// true
	// true 2
}

func describe(err error) string {
	var e *taskgroup.Error
	switch {
	case errors.Is(err, errNotFound): // never err == errNotFound
		return "not found"
	case errors.As(err, &e):
		return fmt.Sprintf("%d failed, %d stopped, %d did not begin", len(e.Tasks)+e.Dropped, e.Canceled, e.Skipped)
	default:
		return "fine"
	}
}

func Example_comparingErrors() {
	fmt.Println(describe(removeByGroup(context.Background(), []string{"a", "lost"})))
	// Output: not found
}

func Example_skipped() {
	ran := false
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		g.Cancel(errDown)
		g.Go(func(context.Context) error {
			ran = true // errgroup would have run it
			return nil
		})
		return nil
	})
	fmt.Println(ran, describe(err))
	// Output: false 0 failed, 0 stopped, 1 did not begin
}
