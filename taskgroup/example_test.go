package taskgroup_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/grove-go/grove/taskgroup"
)

var errDown = errors.New("connection refused")

func loadUser(ctx context.Context, id int) (string, error) { return fmt.Sprint("user ", id), ctx.Err() }

func loadOrders(ctx context.Context, id int) (int, error) { return 10 * id, ctx.Err() }

// Two calls for one request.
func ExampleRun() {
	var (
		user   string
		orders int
	)
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		g.Go(func(ctx context.Context) (err error) {
			user, err = loadUser(ctx, 7)
			return err
		})
		g.Go(func(ctx context.Context) (err error) {
			orders, err = loadOrders(ctx, 7)
			return err
		})
		return nil
	})
	fmt.Println(user, "has", orders, "orders, error:", err)
	// Output: user 7 has 70 orders, error: <nil>
}

// The first failure cancels the rest: the second task stops and is counted, and the first is what is reported.
func ExampleRun_failure() {
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		waiting := make(chan struct{})
		g.Go(func(ctx context.Context) error {
			close(waiting)
			<-ctx.Done()
			return ctx.Err()
		})
		g.Start(taskgroup.Task{Name: "load", Func: func(context.Context) error {
			<-waiting
			return errDown
		}})
		return nil
	})
	fmt.Println(err)
	fmt.Println("down:", errors.Is(err, errDown))
	// Output:
	// load: connection refused (1 canceled)
	// down: true
}

// A server that owns a group for as long as it lives. Stop tells the tasks to end and waits for them.
func ExampleNew() {
	g := taskgroup.New(context.Background(), taskgroup.Name("server"))
	defer func() { _ = g.Stop() }() // on every path

	started := make(chan struct{})
	g.Go(func(ctx context.Context) error {
		close(started)
		<-ctx.Done()
		fmt.Println(context.Cause(ctx))
		return ctx.Err()
	})
	<-started
	fmt.Println("error:", g.Stop())
	// Output:
	// server canceled: taskgroup: stopped
	// error: <nil>
}

// Tasks may start tasks: Go never blocks, not even at the limit.
func ExampleGroup_Go() {
	pages := map[string][]string{"/": {"/a", "/b"}, "/a": {"/c"}}
	crawled := 0 // one task at a time runs: no lock is needed
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		var crawl func(page string) func(context.Context) error
		crawl = func(page string) func(context.Context) error {
			return func(context.Context) error {
				crawled++
				for _, link := range pages[page] {
					g.Go(crawl(link))
				}
				return nil
			}
		}
		g.Go(crawl("/"))
		return nil
	}, taskgroup.Limit(1))
	fmt.Println(crawled, "pages, error:", err)
	// Output: 4 pages, error: <nil>
}

func ExampleGroup_TryGo() {
	g := taskgroup.New(context.Background(), taskgroup.Limit(1))
	release := make(chan struct{})
	work := func(context.Context) error {
		<-release
		return nil
	}
	fmt.Println(g.TryGo(work), g.TryGo(work))
	close(release)
	fmt.Println("error:", g.Wait())
	// Output:
	// true false
	// error: <nil>
}

// A name stands for the task in errors, and has its time measured.
func ExampleGroup_Start() {
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "users", Func: func(context.Context) error { return errDown }})
		return nil
	}, taskgroup.Name("checkout"))
	fmt.Println(err)
	// Output: checkout: users: connection refused
}

// A background task serves the others and ends last.
func ExampleGroup_Start_background() {
	lines := make(chan string)
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Background: true, Func: func(ctx context.Context) error {
			for {
				select {
				case line := <-lines:
					fmt.Println(line)
				case <-ctx.Done():
					fmt.Println("written")
					return nil
				}
			}
		}})
		g.Go(func(context.Context) error {
			lines <- "one"
			lines <- "two"
			return nil
		})
		return nil
	})
	fmt.Println("error:", err)
	// Output:
	// one
	// two
	// written
	// error: <nil>
}

func ExampleGroup_Cancel() {
	errFull := errors.New("disk full")
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		g.Cancel(errFull)
		g.Go(func(context.Context) error { return nil }) // not started any more
		return nil
	})
	fmt.Println(err)
	// Output: disk full (1 skipped)
}

// All that went wrong, and how much was left undone because of it.
func ExampleError() {
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		for i := range 5 {
			g.Go(func(context.Context) error { return fmt.Errorf("replica %d: %w", i, errDown) })
		}
		return nil
	}, taskgroup.KeepGoing(), taskgroup.MaxErrors(2), taskgroup.Limit(1))

	if e, ok := errors.AsType[*taskgroup.Error](err); ok {
		fmt.Println("cause:", e.Cause)
		for _, task := range e.Tasks {
			fmt.Println("-", task.Err)
		}
		fmt.Println("and", e.Dropped, "more")
	}
	// Output:
	// cause: replica 0: connection refused
	// - replica 0: connection refused
	// - replica 1: connection refused
	// and 3 more
}

// The cause of a group's context is a cancellation, and leads to the reason.
func ExampleCancelError() {
	g := taskgroup.New(context.Background(), taskgroup.Name("checkout"))
	g.Cancel(errDown)

	cause := context.Cause(g.Context())
	fmt.Println(cause)
	fmt.Println(errors.Is(cause, context.Canceled), errors.Is(cause, errDown))
	fmt.Println(g.Wait())
	// Output:
	// checkout canceled: connection refused
	// true true
	// checkout: connection refused
}

func failingTask(context.Context) error { return errDown }

// A task without a name is known by its function.
func ExampleTaskError() {
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		g.Go(failingTask)
		return nil
	})
	if task, ok := errors.AsType[*taskgroup.TaskError](err); ok {
		fmt.Println(task)
		fmt.Println(task.File[strings.LastIndexByte(task.File, '/')+1:], task.Line > 0)
	}
	// Output:
	// taskgroup_test.failingTask: connection refused
	// example_test.go true
}

// A panic in a task is one of the group's owner, with the stack of the task.
func ExamplePanicError() {
	defer func() {
		p := recover().(*taskgroup.PanicError)
		fmt.Println(p.Task, "panicked with:", p.Value)
		fmt.Println(strings.Contains(string(p.Stack), "ExamplePanicError"))
	}()
	_ = taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "parse", Func: func(context.Context) error { panic("no digits") }})
		return nil
	})
	// Output:
	// parse panicked with: no digits
	// true
}

func ExampleOnPanic() {
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "parse", Func: func(context.Context) error { panic("no digits") }})
		return nil
	}, taskgroup.OnPanic(taskgroup.AsError))
	fmt.Println(err)
	// Output: parse: panic in parse: no digits
}

// Two at a time; the others wait for their turn.
func ExampleLimit() {
	running := make(chan struct{}, 2) // has no room for a third
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		for range 100 {
			g.Go(func(context.Context) error {
				select {
				case running <- struct{}{}:
				default:
					return errors.New("three at a time")
				}
				<-running
				return nil
			})
		}
		return nil
	}, taskgroup.Limit(2))
	fmt.Println("error:", err)
	// Output: error: <nil>
}

// Every replica is told, whatever becomes of the others.
func ExampleKeepGoing() {
	told := make([]bool, 4)
	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		for i := range told {
			g.Start(taskgroup.Task{Name: fmt.Sprint("replica ", i), Func: func(context.Context) error {
				if i == 1 {
					return errDown
				}
				told[i] = true
				return nil
			}})
		}
		return nil
	}, taskgroup.KeepGoing())
	fmt.Println(told)
	fmt.Println(err)
	// Output:
	// [true false true true]
	// replica 1: connection refused
}

func ExampleCancellation() {
	// Such as the status codes of an RPC system, which errors.Is cannot see.
	errStatus := errors.New("rpc error: code = Canceled")

	err := taskgroup.Run(context.Background(), func(_ context.Context, g *taskgroup.Group) error {
		waiting := make(chan struct{})
		g.Go(func(ctx context.Context) error {
			close(waiting)
			<-ctx.Done()
			return errStatus
		})
		g.Start(taskgroup.Task{Name: "load", Func: func(context.Context) error {
			<-waiting
			return errDown
		}})
		return nil
	}, taskgroup.Cancellation(func(err error) bool { return errors.Is(err, errStatus) }))
	fmt.Println(err)
	// Output: load: connection refused (1 canceled)
}
