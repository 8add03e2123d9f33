package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// goSpawn is what one writes without a library: a WaitGroup for the join, a context to cancel the rest, and a
// sync.Once to keep the first failure.
func goSpawn(ctx context.Context, n int, task Task) error {
	ctx, failed := within(ctx)
	defer failed.cancel()
	var wg sync.WaitGroup
	f := func() {
		if err := task(ctx); err != nil {
			failed.record(err)
		}
	}
	for range n {
		wg.Go(f)
	}
	wg.Wait()
	return failed.err
}

// bareSpawn is goSpawn without the closure that WaitGroup.Go makes of each call: a task costs its goroutine and
// nothing else.
func bareSpawn(ctx context.Context, n int, task Task) error {
	ctx, failed := within(ctx)
	defer failed.cancel()
	var wg sync.WaitGroup
	wg.Add(n)
	f := func() {
		defer wg.Done()
		if err := task(ctx); err != nil {
			failed.record(err)
		}
	}
	for range n {
		go f()
	}
	wg.Wait()
	return failed.err
}

// goMap has as many goroutines as the limit allows, which share a counter.
func goMap(limit int) Map {
	return func(ctx context.Context, in []int, f Call) ([]int, error) {
		ctx, failed := within(ctx)
		defer failed.cancel()
		var (
			wg    sync.WaitGroup
			taken atomic.Int64
		)
		results := make([]int, len(in))
		work := func() {
			for {
				i := int(taken.Add(1)) - 1
				if i >= len(in) {
					return
				}
				r, err := f(ctx, in[i])
				if err != nil {
					failed.record(err)
					return
				}
				results[i] = r
			}
		}
		for range min(limit, len(in)) {
			wg.Go(work)
		}
		wg.Wait()
		return results, failed.err
	}
}

// goForEach has as many goroutines as the limit allows, which share a channel of the items.
func goForEach(limit int) ForEach {
	return func(ctx context.Context, in []int, f func(context.Context, int) error) error {
		ctx, failed := within(ctx)
		defer failed.cancel()
		items := make(chan int)
		var wg sync.WaitGroup
		work := func() {
			for item := range items {
				if err := f(ctx, item); err != nil {
					failed.record(err)
				}
			}
		}
		for range min(limit, len(in)) {
			wg.Go(work)
		}
		send(ctx, items, in)
		wg.Wait()
		return failed.err
	}
}

// send sends the items until ctx ends, and closes the channel.
func send(ctx context.Context, items chan<- int, in []int) {
	defer close(items)
	for _, item := range in {
		select {
		case items <- item:
		case <-ctx.Done():
			return
		}
	}
}

// goStream is goForEach with a channel of the results.
func goStream(limit int) Stream {
	return func(ctx context.Context, in []int, f Call, each func(int)) error {
		ctx, failed := within(ctx)
		defer failed.cancel()
		items, results := make(chan int), make(chan int)
		var wg sync.WaitGroup
		work := func() {
			for item := range items {
				r, err := f(ctx, item)
				if err != nil {
					failed.record(err)
					continue
				}
				results <- r
			}
		}
		for range min(limit, len(in)) {
			wg.Go(work)
		}
		go func() {
			send(ctx, items, in)
			wg.Wait()
			close(results)
		}()
		for r := range results {
			each(r)
		}
		return failed.err
	}
}

// goOrdered has a channel of channels, one for each result, that is as long as the window.
func goOrdered(limit int) Stream {
	return func(ctx context.Context, in []int, f Call, each func(int)) error {
		ctx, failed := within(ctx)
		defer failed.cancel()
		window := make(chan chan int, limit-1) // and the one that is waited for
		go func() {
			defer close(window)
			for _, item := range in {
				result := make(chan int, 1)
				select {
				case window <- result:
				case <-ctx.Done():
					return
				}
				go func() {
					defer close(result)
					r, err := f(ctx, item)
					if err != nil {
						failed.record(err)
						return
					}
					result <- r
				}()
			}
		}()
		for result := range window {
			if r, ok := <-result; ok {
				each(r)
			}
		}
		return failed.err
	}
}

func goFirst(ctx context.Context, fs []func(context.Context) (int, error)) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		value int
		err   error
	}
	outcomes := make(chan outcome)
	for _, f := range fs {
		go func() {
			value, err := f(ctx)
			outcomes <- outcome{value, err}
		}()
	}
	var (
		won    bool
		value  int
		failed []error
	)
	for range fs {
		o := <-outcomes
		switch {
		case o.err != nil:
			failed = append(failed, o.err)
		case !won:
			won, value = true, o.value
			cancel()
		}
	}
	if won {
		return value, nil
	}
	return 0, errors.Join(failed...)
}
