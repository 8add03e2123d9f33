package patterns_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/grove-go/grove/taskgroup"
)

// A Node is a folder.
type Node struct {
	Size     int64
	Children []*Node
}

var tree = &Node{1, []*Node{{2, []*Node{{3, nil}, {4, nil}}}, {5, nil}}}

func size(ctx context.Context, root *Node) (int64, error) {
	var total atomic.Int64
	err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		var visit func(n *Node)
		visit = func(n *Node) {
			g.Go(func(context.Context) error {
				total.Add(n.Size)
				for _, child := range n.Children {
					visit(child) // queues at the limit, and never blocks
				}
				return nil
			})
		}
		visit(root)
		return nil
	}, taskgroup.Limit(2))
	return total.Load(), err
}

func Example_limit() {
	fmt.Println(size(context.Background(), tree))
	// Output: 15 <nil>
}

func sum(ctx context.Context, g *taskgroup.Group, n *Node) (int64, error) {
	var children []*taskgroup.Future[int64]
	for _, child := range n.Children {
		children = append(children, taskgroup.Async(g, func(ctx context.Context) (int64, error) {
			return sum(ctx, g, child)
		}))
	}
	total := n.Size
	for _, c := range children {
		size, err := c.Await(ctx) // with the task's own context: runs what is still queued
		if err != nil {
			return 0, err
		}
		total += size
	}
	return total, nil
}

func Example_await() {
	err := taskgroup.Run(context.Background(), func(ctx context.Context, g *taskgroup.Group) error {
		total, err := taskgroup.Async(g, func(ctx context.Context) (int64, error) { return sum(ctx, g, tree) }).Await(ctx)
		fmt.Println(total)
		return err
	}, taskgroup.Limit(1))
	fmt.Println(err)
	// Output:
	// 15
	// <nil>
}

// A Store has connections for ten calls, whoever makes them.
type Store struct {
	calls *taskgroup.Limiter
}

func NewStore() *Store { return &Store{calls: taskgroup.NewLimiter(10)} }

func (s *Store) Warm(ctx context.Context, keys []string) error {
	return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "index", Weight: 4, Func: s.loadIndex})
		for _, key := range keys {
			g.Go(func(ctx context.Context) error { return s.load(ctx, key) })
		}
		return nil
	}, taskgroup.Use(s.calls))
}

func (s *Store) loadIndex(context.Context) error    { return nil }
func (s *Store) load(context.Context, string) error { return nil }

func Example_limiter() {
	fmt.Println(NewStore().Warm(context.Background(), []string{"a", "b"}))
	// Output: <nil>
}
