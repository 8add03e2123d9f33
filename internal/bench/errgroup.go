package bench

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"
)

func errgroupSpawn(ctx context.Context, n int, task Task) error {
	g, ctx := errgroup.WithContext(ctx)
	f := func() error { return task(ctx) }
	for range n {
		g.Go(f)
	}
	return g.Wait()
}

func errgroupLimited(limit int) (Spawn, func()) {
	return func(ctx context.Context, n int, task Task) error {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(limit)
		f := func() error { return task(ctx) }
		for range n {
			g.Go(f)
		}
		return g.Wait()
	}, func() {}
}

func errgroupMap(limit int) Map {
	return func(ctx context.Context, in []int, f Call) ([]int, error) {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(limit)
		results := make([]int, len(in))
		for i, item := range in {
			g.Go(func() (err error) {
				results[i], err = f(ctx, item)
				return err
			})
		}
		return results, g.Wait()
	}
}

func errgroupForEach(limit int) ForEach {
	return func(ctx context.Context, in []int, f func(context.Context, int) error) error {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(limit)
		for _, item := range in {
			g.Go(func() error { return f(ctx, item) })
		}
		return g.Wait()
	}
}

var errWon = errors.New("bench: won")

// errgroupFirst cancels the losers by failing.
func errgroupFirst(ctx context.Context, fs []func(context.Context) (int, error)) (int, error) {
	g, ctx := errgroup.WithContext(ctx)
	var (
		mu     sync.Mutex
		won    bool
		value  int
		failed []error
	)
	for _, f := range fs {
		g.Go(func() error {
			v, err := f(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, err)
				return nil
			}
			if !won {
				won, value = true, v
			}
			return errWon
		})
	}
	if g.Wait() != nil {
		return value, nil //nolint:nilerr // the error says that somebody has won
	}
	return 0, errors.Join(failed...)
}
