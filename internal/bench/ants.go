package bench

import (
	"context"
	"sync"

	"github.com/panjf2000/ants/v2"
)

// antsLimited keeps one pool, as ants is meant to be used. Ants knows neither errors nor groups: these are added as
// in goSpawn.
func antsLimited(limit int) (Spawn, func()) {
	pool, err := ants.NewPool(limit)
	if err != nil {
		panic(err) // the size is positive
	}
	return func(ctx context.Context, n int, task Task) error {
		ctx, failed := within(ctx)
		defer failed.cancel()
		var wg sync.WaitGroup
		f := func() {
			defer wg.Done()
			if err := task(ctx); err != nil {
				failed.record(err)
			}
		}
		for range n {
			wg.Add(1)
			if err := pool.Submit(f); err != nil {
				wg.Done()
				failed.record(err)
				break
			}
		}
		wg.Wait()
		return failed.err
	}, pool.Release
}
