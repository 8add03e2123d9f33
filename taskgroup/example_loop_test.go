package taskgroup_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/grove-go/grove/taskgroup"
)

func ExampleAsync() {
	err := taskgroup.Run(context.Background(), func(ctx context.Context, g *taskgroup.Group) error {
		user := taskgroup.Async(g, func(ctx context.Context) (string, error) { return loadUser(ctx, 7) })
		orders := taskgroup.Async(g, func(ctx context.Context) (int, error) { return loadOrders(ctx, 7) })
		u, err := user.Await(ctx)
		if err != nil {
			return err
		}
		o, err := orders.Await(ctx)
		fmt.Println(u, "has", o, "orders")
		return err
	})
	fmt.Println(err)
	// Output:
	// user 7 has 70 orders
	// <nil>
}

func ExampleForEach() {
	err := taskgroup.ForEach(context.Background(), 4, slices.Values([]string{"a", "b", "c"}), func(_ context.Context, name string) error {
		if name == "b" {
			return errors.New("b is broken")
		}
		return nil
	}, taskgroup.KeepGoing(), taskgroup.Name("check"))
	fmt.Println(errors.Unwrap(err), err.(*taskgroup.Error).Tasks[0].Err) //nolint:errorlint // it is always an *Error
	// Output: <nil> b is broken
}

func ExampleMap() {
	squares, err := taskgroup.Map(context.Background(), 2, []int{1, 2, 3, 4}, func(_ context.Context, i int) (int, error) {
		return i * i, nil
	})
	fmt.Println(squares, err)
	// Output: [1 4 9 16] <nil>
}

func ExampleStream() {
	sum := 0
	for square, err := range taskgroup.Stream(context.Background(), 2, slices.Values([]int{1, 2, 3, 4}), func(_ context.Context, i int) (int, error) {
		return i * i, nil
	}) {
		if err != nil {
			fmt.Println(err)
		}
		sum += square // in the order in which the calls end
	}
	fmt.Println(sum)
	// Output: 30
}

func ExampleOrdered() {
	for square, err := range taskgroup.Ordered(context.Background(), 2, slices.Values([]int{1, 2, 3, 4}), func(_ context.Context, i int) (int, error) {
		return i * i, nil
	}) {
		if square > 5 {
			break // stops and joins the calls that are under way
		}
		fmt.Println(square, err)
	}
	// Output:
	// 1 <nil>
	// 4 <nil>
}

func ExampleFirst() {
	replica := func(d time.Duration, name string) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			select {
			case <-time.After(d):
				return name, nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
	}
	fastest, err := taskgroup.First(context.Background(), []func(context.Context) (string, error){
		replica(time.Hour, "far"),
		replica(time.Millisecond, "near"),
	})
	fmt.Println(fastest, err)
	// Output: near <nil>
}

func ExampleQuorum() {
	write := func(err error) func(context.Context) (bool, error) {
		return func(context.Context) (bool, error) { return err == nil, err }
	}
	acks, err := taskgroup.Quorum(context.Background(), 2, []func(context.Context) (bool, error){
		write(nil), write(errors.New("disk full")), write(nil),
	})
	fmt.Println(len(acks), err)
	// Output: 2 <nil>
}

func ExampleUse() {
	disk := taskgroup.NewLimiter(4) // for all groups of the process that use the disk
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "scan", Weight: 3, Func: func(context.Context) error { return nil }})
		g.Go(func(context.Context) error { return nil })
		return nil
	}, taskgroup.Use(disk))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleGrace() {
	started, reported := make(chan struct{}), make(chan struct{})
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "import", Func: func(context.Context) error {
			close(started)
			<-reported // and not its context
			return nil
		}})
		<-started
		return errors.New("no longer needed")
	}, taskgroup.Grace(time.Millisecond, func(s taskgroup.Stragglers) {
		for _, t := range s.Tasks {
			fmt.Println("still running:", t.Name)
		}
		close(reported)
	}))
	fmt.Println(err.(*taskgroup.Error).Cause) //nolint:errorlint // it is always an *Error
	// Output:
	// still running: import
	// no longer needed
}

func ExampleWithHooks() {
	ctx := taskgroup.WithHooks(context.Background(), &taskgroup.Hooks{
		TaskEnded: func(_ context.Context, t taskgroup.TaskInfo, err error, _ bool) { fmt.Println(t.Group, t.Name, err) },
	})
	_ = taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "load", Func: failingTask})
		return nil
	}, taskgroup.Name("page"))
	// Output: page load connection refused
}
