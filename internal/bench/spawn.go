package bench

import (
	"context"
	"fmt"
	"testing"
)

// A Spawn runs task n times concurrently under a context derived from ctx and returns when all have returned. The
// first failure cancels the derived context and is returned.
type Spawn func(ctx context.Context, n int, task Task) error

func spawners() []peer[Spawn] {
	return []peer[Spawn]{
		{Grove, groveSpawn},
		{"errgroup", errgroupSpawn},
		{"conc", concSpawn},
		{"go", goSpawn},
	}
}

// noopTargets and doneTargets bound the ratio to errgroup's time by the number of tasks.
var (
	noopTargets = map[int]float64{1: 1.00, 3: 1.00, 10: 0.60, 100: 0.25, 1000: 0.20}
	doneTargets = map[int]float64{1: 1.05, 3: 1.05, 10: 0.80, 100: 0.50, 1000: 0.50}
)

func spawnTargets(n int, task string) []Target {
	switch task {
	case "noop":
		return []Target{{"errgroup", noopTargets[n]}}
	case "done":
		return []Target{{"errgroup", doneTargets[n]}}
	default:
		return []Target{{"errgroup", 1.05}, {"go", 1.05}}
	}
}

func spawnCases() []Case {
	var cases []Case
	for _, n := range []int{1, 3, 10, 100, 1000} {
		for _, t := range tasks() {
			cases = append(cases, Case{
				Name:    fmt.Sprintf("spawn/n=%d/task=%s", n, t.name),
				Impls:   measure(spawners(), func(b *testing.B, s Spawn) { s.bench(b, n, t.task) }),
				Targets: spawnTargets(n, t.name),
			})
		}
	}
	// Many callers at once, each with scopes of its own, as requests are.
	for _, n := range []int{3, 100} {
		cases = append(cases, Case{
			Name:  fmt.Sprintf("spawn-parallel/n=%d/task=noop", n),
			Impls: measure(spawners(), func(b *testing.B, s Spawn) { s.benchParallel(b, n, noop) }),
		})
	}
	return cases
}

func (s Spawn) bench(b *testing.B, n int, task Task) {
	benchScope(b, task, func(ctx context.Context) error { return s(ctx, n, task) })
}

func (s Spawn) benchParallel(b *testing.B, n int, task Task) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for pb.Next() {
			if err := s(ctx, n, task); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
