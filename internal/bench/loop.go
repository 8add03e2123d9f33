package bench

import (
	"context"
	"fmt"
	"testing"
)

// A Call is what a loop does with one item.
type Call func(ctx context.Context, item int) (int, error)

// A Map calls f for each item, as many at a time as the limit allows that it was made with, and returns the results in the
// order of the items. The first failure cancels the calls' context and is returned.
type Map func(ctx context.Context, in []int, f Call) ([]int, error)

// A ForEach is a [Map] without results. The items are a slice, since conc's loop takes nothing else; Grove's reads it
// as the sequence that it takes.
type ForEach func(ctx context.Context, in []int, f func(ctx context.Context, item int) error) error

func maps() []peer[func(limit int) Map] {
	return []peer[func(limit int) Map]{
		{Grove, groveMap},
		{"errgroup", errgroupMap},
		{"conc", concMap},
		{"pond", pondMap},
		{"go", goMap},
	}
}

func forEachs() []peer[func(limit int) ForEach] {
	return []peer[func(limit int) ForEach]{
		{Grove, groveForEach},
		{"errgroup", errgroupForEach},
		{"conc", concForEach},
		{"pond", pondForEach},
		{"go", goForEach},
	}
}

// loopTargets asks Grove to be as fast as every library where the work is small enough to tell them apart, and as fast
// as anything, but for noise, where it is not.
func loopTargets(task string, libraries ...string) []Target {
	var targets []Target
	switch task {
	case "noop", "done":
		for _, l := range libraries {
			targets = append(targets, Target{l, 1.00})
		}
	default:
		for _, l := range append(libraries, "go") {
			targets = append(targets, Target{l, 1.05})
		}
	}
	return targets
}

func loopCases() []Case {
	const limit = 16
	var cases []Case
	for _, n := range []int{10, 1000} {
		in := items(n)
		for _, t := range tasks() {
			name := fmt.Sprintf("limit=%d/n=%d/task=%s", limit, n, t.name)
			targets := loopTargets(t.name, "errgroup", "conc", "pond")
			cases = append(cases, Case{
				Name:    "map/" + name,
				Impls:   measure(maps(), func(b *testing.B, m func(int) Map) { m(limit).bench(b, in, t.task) }),
				Targets: targets,
			}, Case{
				Name:    "foreach/" + name,
				Impls:   measure(forEachs(), func(b *testing.B, e func(int) ForEach) { e(limit).bench(b, in, t.task) }),
				Targets: targets,
			})
		}
	}
	return cases
}

func items(n int) []int {
	in := make([]int, n)
	for i := range in {
		in[i] = i
	}
	return in
}

// call returns the task as a loop's call, which returns its item.
func (t Task) call() Call {
	return func(ctx context.Context, item int) (int, error) { return item, t(ctx) }
}

func (m Map) bench(b *testing.B, in []int, task Task) {
	f := task.call()
	benchScope(b, task, func(ctx context.Context) error {
		results, err := m(ctx, in, f)
		if len(results) != len(in) {
			b.Errorf("%d results of %d items", len(results), len(in))
		}
		return err
	})
}

func (e ForEach) bench(b *testing.B, in []int, task Task) {
	f := func(ctx context.Context, _ int) error { return task(ctx) }
	benchScope(b, task, func(ctx context.Context) error { return e(ctx, in, f) })
}
