package bench

import (
	"context"

	"github.com/sourcegraph/conc/iter"
	"github.com/sourcegraph/conc/pool"
	"github.com/sourcegraph/conc/stream"
)

func concSpawn(ctx context.Context, n int, task Task) error {
	p := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
	for range n {
		p.Go(task)
	}
	return p.Wait()
}

func concLimited(limit int) (Spawn, func()) {
	return func(ctx context.Context, n int, task Task) error {
		p := pool.New().WithMaxGoroutines(limit).WithContext(ctx).WithCancelOnError().WithFirstError()
		for range n {
			p.Go(task)
		}
		return p.Wait()
	}, func() {}
}

func concMap(limit int) Map {
	return func(ctx context.Context, in []int, f Call) ([]int, error) {
		ctx, failed := within(ctx)
		defer failed.cancel()
		results := iter.Mapper[int, int]{MaxGoroutines: limit}.Map(in, func(item *int) int {
			r, err := f(ctx, *item)
			if err != nil {
				failed.record(err)
			}
			return r
		})
		return results, failed.err
	}
}

func concForEach(limit int) ForEach {
	return func(ctx context.Context, in []int, f func(context.Context, int) error) error {
		ctx, failed := within(ctx)
		defer failed.cancel()
		iter.Iterator[int]{MaxGoroutines: limit}.ForEach(in, func(item *int) {
			if err := f(ctx, *item); err != nil {
				failed.record(err)
			}
		})
		return failed.err
	}
}

func concStream(limit int) Stream {
	return func(ctx context.Context, in []int, f Call, each func(int)) error {
		ctx, failed := within(ctx)
		defer failed.cancel()
		s := stream.New().WithMaxGoroutines(limit)
		for _, item := range in {
			s.Go(func() stream.Callback {
				r, err := f(ctx, item)
				if err != nil {
					failed.record(err)
					return func() {}
				}
				return func() { each(r) }
			})
		}
		s.Wait()
		return failed.err
	}
}
