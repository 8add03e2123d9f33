package bench

import (
	"context"
	"iter"
	"slices"

	"github.com/grove-go/grove/taskgroup"
)

func groveSpawn(ctx context.Context, n int, task Task) error {
	return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		for range n {
			g.Go(task)
		}
		return nil
	})
}

func groveLimited(limit int) (Spawn, func()) {
	return func(ctx context.Context, n int, task Task) error {
		return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			for range n {
				g.Go(task)
			}
			return nil
		}, taskgroup.Limit(limit))
	}, func() {}
}

func groveMap(limit int) Map {
	return func(ctx context.Context, in []int, f Call) ([]int, error) { return taskgroup.Map(ctx, limit, in, f) }
}

func groveForEach(limit int) ForEach {
	return func(ctx context.Context, in []int, f func(context.Context, int) error) error {
		return taskgroup.ForEach(ctx, limit, slices.Values(in), f)
	}
}

func groveStream(limit int) Stream {
	return func(ctx context.Context, in []int, f Call, each func(int)) error {
		return drain(taskgroup.Stream(ctx, limit, slices.Values(in), f), each)
	}
}

func groveOrdered(limit int) Stream {
	return func(ctx context.Context, in []int, f Call, each func(int)) error {
		return drain(taskgroup.Ordered(ctx, limit, slices.Values(in), f), each)
	}
}

func drain(results iter.Seq2[int, error], each func(int)) error {
	for r, err := range results {
		if err != nil {
			return err
		}
		each(r)
	}
	return nil
}

func groveFirst(ctx context.Context, fs []func(context.Context) (int, error)) (int, error) {
	return taskgroup.First(ctx, fs)
}
