package bench

import (
	"context"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/panjf2000/ants/v2"
	"github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

type callResult struct {
	value int
	err   error
}

// leaving calls f by start, which runs what it is given on another goroutine, and can leave it.
func leaving(start func(func()) error) Pooled {
	return func(ctx context.Context, f Call0) (int, error) {
		results := make(chan callResult, 1)
		if err := start(func() {
			value, err := f(ctx)
			results <- callResult{value, err}
		}); err != nil {
			return 0, err
		}
		select {
		case r := <-results:
			return r.value, r.err
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// goLeave has no limit: it is what Do is compared with where there are slots enough.
func goLeave(int) (Pooled, func()) {
	return leaving(func(f func()) error { go f(); return nil }), func() {}
}

// goStay is goLeave for callers that wait for f whatever becomes of ctx.
func goStay(int) (Pooled, func()) {
	return func(ctx context.Context, f Call0) (int, error) {
		results := make(chan callResult, 1)
		go func() {
			value, err := f(ctx)
			results <- callResult{value, err}
		}()
		r := <-results
		return r.value, r.err
	}, func() {}
}

func pondCall(workers int) (Pooled, func()) {
	p := pond.NewResultPool[int](workers)
	return func(ctx context.Context, f Call0) (int, error) {
		return p.SubmitErr(func() (int, error) { return f(ctx) }).Wait()
	}, p.StopAndWait
}

func antsCall(workers int) (Pooled, func()) {
	p, err := ants.NewPool(workers)
	if err != nil {
		panic(err) // the size is positive
	}
	return leaving(p.Submit), p.Release
}

// antsMultiCall splits the slots, and with them the lock, in two.
func antsMultiCall(workers int) (Pooled, func()) {
	p, err := ants.NewMultiPool(2, workers/2, ants.RoundRobin)
	if err != nil {
		panic(err) // the sizes are positive
	}
	return leaving(p.Submit), func() { _ = p.ReleaseTimeout(time.Second) }
}

func concCall(workers int) (Pooled, func()) {
	p := pool.New().WithMaxGoroutines(workers)
	return leaving(func(f func()) error { p.Go(f); return nil }), p.Wait
}

func errgroupCall(workers int) (Pooled, func()) {
	var g errgroup.Group
	g.SetLimit(workers)
	return leaving(func(f func()) error {
		g.Go(func() error { f(); return nil })
		return nil
	}), func() { _ = g.Wait() }
}

func chanCall(workers int) (Pooled, func()) {
	slots := make(chan struct{}, workers)
	return func(ctx context.Context, f Call0) (int, error) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		defer func() { <-slots }()
		return f(ctx)
	}, func() {}
}

func semaphoreCall(workers int) (Pooled, func()) {
	slots := semaphore.NewWeighted(int64(workers))
	return func(ctx context.Context, f Call0) (int, error) {
		if err := slots.Acquire(ctx, 1); err != nil {
			return 0, err
		}
		defer slots.Release(1)
		return f(ctx)
	}, func() {}
}

func failsafeCall(workers int) (Pooled, func()) {
	e := failsafe.With(bulkhead.NewBuilder[int](uint(workers)).WithMaxWaitTime(time.Hour).Build())
	return func(ctx context.Context, f Call0) (int, error) {
		return e.WithContext(ctx).Get(func() (int, error) { return f(ctx) })
	}, func() {}
}
