package executor_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

type fn = func(context.Context) (int, error)

func noop(context.Context) (int, error) { return 1, nil }

// yield gives the processor away once, so that others find its slot taken.
func yield(context.Context) (int, error) { runtime.Gosched(); return 1, nil }

// deep uses 7 KiB of stack, more than a new goroutine has.
func deep(context.Context) (int, error) { return descend(7), nil }

//go:noinline
func descend(n int) int {
	var frame [1 << 10]byte
	if n > 1 {
		frame[n] = byte(descend(n - 1))
	}
	return int(frame[n])
}

func BenchmarkDo(b *testing.B) {
	ctx := cancellable(b)
	type key struct{}
	for _, bm := range []struct {
		name string
		call func(p *executor.Pool)
	}{
		{"noop", func(p *executor.Pool) { _, _ = executor.Do(ctx, p, noop) }},
		{"deep", func(p *executor.Pool) { _, _ = executor.Do(ctx, p, deep) }},
		{"ctx=new", func(p *executor.Pool) { _, _ = executor.Do(context.WithValue(ctx, key{}, p), p, noop) }},
		{"ctx=asked", func(p *executor.Pool) {
			_, _ = executor.Do(ctx, p, func(ctx context.Context) (int, error) { ctx.Done(); return 1, nil })
		}},
		{"inline", func(p *executor.Pool) { _, _ = executor.Do(ctx, p, noop, executor.Inline()) }},
		{"ctx=endless", func(p *executor.Pool) { _, _ = executor.Do(context.Background(), p, noop) }},
		{"nested", func(p *executor.Pool) {
			_, _ = executor.Do(ctx, p, func(ctx context.Context) (int, error) { return executor.Do(ctx, p, noop) })
		}},
		{"submit", func(p *executor.Pool) { _, _ = executor.Submit(ctx, p, noop).Await(ctx) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p := newPool(b, executor.Config{Workers: 4})
			b.ReportAllocs()
			for b.Loop() {
				bm.call(p)
			}
		})
	}
}

func BenchmarkRefused(b *testing.B) {
	p := newPool(b, executor.Config{Workers: 1, Queue: executor.NoQueue})
	ctx := cancellable(b)
	release := make(chan struct{})
	executor.Submit(ctx, p, func(context.Context) (int, error) { return stuckForever(release) })
	b.ReportAllocs()
	var err error
	for b.Loop() {
		_, err = executor.Do(ctx, p, noop)
	}
	require.Equal(b, executor.ErrQueueFull, err)
	close(release)
}

// way is one way to make a call.
type way struct {
	name string
	call func(ctx context.Context, f fn) (int, error)
}

type result struct {
	value int
	err   error
}

// goSelect is a goroutine, a channel, and a caller that can leave: what Do does, without a bound.
func goSelect(ctx context.Context, f fn) (int, error) {
	results := make(chan result, 1)
	go func() {
		value, err := f(ctx)
		results <- result{value, err}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// goWait is a goroutine, a channel, and a caller that cannot leave.
func goWait(ctx context.Context, f fn) (int, error) {
	results := make(chan result, 1)
	go func() {
		value, err := f(ctx)
		results <- result{value, err}
	}()
	r := <-results
	return r.value, r.err
}

// bounded bounds a way by a channel used as a semaphore.
func bounded(n int, call func(context.Context, fn) (int, error)) func(context.Context, fn) (int, error) {
	semaphore := make(chan struct{}, n)
	return func(ctx context.Context, f fn) (int, error) {
		select {
		case semaphore <- struct{}{}:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		defer func() { <-semaphore }()
		return call(ctx, f)
	}
}

func plain(ctx context.Context, f fn) (int, error) { return f(ctx) }

func pooled(b *testing.B, workers int, opts ...executor.CallOption) way {
	p := newPool(b, executor.Config{Workers: workers, Queue: executor.Unbounded})
	return way{"do", func(ctx context.Context, f fn) (int, error) { return executor.Do(ctx, p, f, opts...) }}
}

// BenchmarkAgainst makes the same calls in several ways, in turns, and reports the medians and, of the first way to
// each of the others, their ratios.
func BenchmarkAgainst(b *testing.B) {
	type load struct{ callers, workers int }
	for _, work := range []struct {
		name string
		f    fn
	}{{"noop", noop}, {"yield", yield}, {"deep", deep}} {
		for _, l := range []load{{1, 4}, {8, 8}, {64, 4}} {
			b.Run(fmt.Sprintf("%s/callers=%d/workers=%d", work.name, l.callers, l.workers), func(b *testing.B) {
				compare(b, l.callers, work.f, pooled(b, l.workers), way{"go", goSelect}, way{"go-wait", goWait},
					way{"sem+go", bounded(l.workers, goSelect)})
			})
		}
	}
	for _, l := range []load{{1, 4}, {8, 8}, {64, 4}} {
		b.Run(fmt.Sprintf("inline/callers=%d/workers=%d", l.callers, l.workers), func(b *testing.B) {
			compare(b, l.callers, noop, pooled(b, l.workers, executor.Inline()), way{"sem", bounded(l.workers, plain)})
		})
	}
}

func compare(b *testing.B, callers int, f fn, ways ...way) {
	const calls = 16_384 // in a round, by all callers
	ctx := cancellable(b)
	times := make([][]float64, len(ways))
	for b.Loop() {
		for i, w := range ways {
			start := time.Now()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for range calls / callers {
						_, _ = w.call(ctx, f)
					}
				})
			}
			wg.Wait()
			times[i] = append(times[i], float64(time.Since(start))/calls)
		}
	}
	median := func(i int) float64 {
		slices.Sort(times[i])
		return times[i][len(times[i])/2]
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(0), "ns/call")
	for i, w := range ways[1:] {
		b.ReportMetric(median(0)/median(i+1), "do:"+w.name)
	}
}
