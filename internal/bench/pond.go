package bench

import (
	"context"

	"github.com/alitto/pond/v2"
)

// pondLimited keeps one pool, as pond is meant to be used, and makes a group for each scope. The pool needs no release:
// its workers end when its queue is empty.
func pondLimited(limit int) (Spawn, func()) {
	pool := pond.NewPool(limit)
	return func(ctx context.Context, n int, task Task) error {
		group := pool.NewGroupContext(ctx)
		// A group keeps its context registered with the parent until something cancels it.
		defer group.Stop()
		ctx = group.Context()
		f := func() error { return task(ctx) }
		for range n {
			group.SubmitErr(f)
		}
		return group.Wait()
	}, func() {}
}

// pondMap gives the calls a context of its own: a group with results does not show its own.
func pondMap(limit int) Map {
	pool := pond.NewResultPool[int](limit)
	return func(ctx context.Context, in []int, f Call) ([]int, error) {
		ctx, failed := within(ctx)
		defer failed.cancel()
		group := pool.NewGroupContext(ctx)
		defer group.Stop()
		for _, item := range in {
			group.SubmitErr(func() (int, error) {
				r, err := f(ctx, item)
				if err != nil {
					failed.record(err)
				}
				return r, err
			})
		}
		results, err := group.Wait()
		if failed.err != nil {
			err = failed.err
		}
		return results, err
	}
}

func pondForEach(limit int) ForEach {
	pool := pond.NewPool(limit)
	return func(ctx context.Context, in []int, f func(context.Context, int) error) error {
		group := pool.NewGroupContext(ctx)
		defer group.Stop()
		ctx = group.Context()
		for _, item := range in {
			group.SubmitErr(func() error { return f(ctx, item) })
		}
		return group.Wait()
	}
}
