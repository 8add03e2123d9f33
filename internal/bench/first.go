package bench

import (
	"context"
	"fmt"
	"testing"
)

// A First calls all of fs at once and returns the result of the first that succeeds, when it has cancelled the others'
// context and all have ended. If all fail it returns their errors as one.
type First func(ctx context.Context, fs []func(context.Context) (int, error)) (int, error)

func firsts() []peer[First] {
	return []peer[First]{
		{Grove, groveFirst},
		{"errgroup", errgroupFirst},
		{"go", goFirst},
	}
}

// firstCases are races between calls that all succeed at once, and between one that does and others that wait until they
// are cancelled.
func firstCases() []Case {
	var cases []Case
	for _, n := range []int{3, 10} {
		for _, losers := range []namedTask{{"noop", noop}, {"wait", waitUntilDone}} {
			fs := []func(context.Context) (int, error){winner}
			for range n - 1 {
				fs = append(fs, func(ctx context.Context) (int, error) { return 0, losers.task(ctx) })
			}
			cases = append(cases, Case{
				Name:    fmt.Sprintf("first/n=%d/losers=%s", n, losers.name),
				Impls:   measure(firsts(), func(b *testing.B, first First) { first.bench(b, fs) }),
				Targets: []Target{{"errgroup", 1.00}, {"go", 1.00}},
			})
		}
	}
	return cases
}

func winner(context.Context) (int, error) { return 0, nil }

func waitUntilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f First) bench(b *testing.B, fs []func(context.Context) (int, error)) {
	benchScope(b, noop, func(ctx context.Context) error {
		_, err := f(ctx, fs)
		return err
	})
}
