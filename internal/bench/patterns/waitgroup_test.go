package patterns_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/grove-go/grove/taskgroup"
)

func checkByWaitGroup(ctx context.Context, services []string) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for _, s := range services {
		wg.Go(func() {
			if err := check(ctx, s); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func checkByGroup(ctx context.Context, services []string) error {
	return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		for _, s := range services {
			g.Go(func(ctx context.Context) error { return check(ctx, s) })
		}
		return nil
	}, taskgroup.KeepGoing())
}

func Example_waitGroup() {
	services := []string{"users", "down", "orders"}
	fmt.Println(checkByWaitGroup(context.Background(), services))
	fmt.Println(errors.Is(checkByGroup(context.Background(), services), errDown))
	// Output:
	// down does not answer
	// true
}

// A Cache is refreshed until it is closed.
type Cache struct {
	refreshers *taskgroup.Group
}

func NewCache(ctx context.Context, refresh func(context.Context) error) *Cache {
	c := &Cache{refreshers: taskgroup.New(ctx, taskgroup.Name("cache"))}
	c.refreshers.Go(refresh)
	return c
}

func (c *Cache) Close() error { return c.refreshers.Stop() }

func Example_groupInAnObject() {
	c := NewCache(context.Background(), func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	fmt.Println(c.Close())
	// Output: <nil>
}
