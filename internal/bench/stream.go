package bench

import (
	"context"
	"fmt"
	"testing"
)

// A Stream calls f for each item, as many at a time as the limit allows that it was made with, and each with every
// result, one at a time. The first failure cancels the calls' context and is returned.
type Stream func(ctx context.Context, in []int, f Call, each func(result int)) error

// streams may hand out the results as they come. Conc has only the order of the items.
func streams() []peer[func(limit int) Stream] {
	return []peer[func(limit int) Stream]{
		{Grove, groveStream},
		{"conc", concStream},
		{"go", goStream},
	}
}

// orderedStreams hand out the results in the order of the items.
func orderedStreams() []peer[func(limit int) Stream] {
	return []peer[func(limit int) Stream]{
		{Grove, groveOrdered},
		{"conc", concStream},
		{"go", goOrdered},
	}
}

func streamCases() []Case {
	const limit = 16
	var cases []Case
	for _, n := range []int{10, 1000} {
		in := items(n)
		for _, t := range tasks() {
			name := fmt.Sprintf("limit=%d/n=%d/task=%s", limit, n, t.name)
			targets := loopTargets(t.name, "conc")
			bench := func(b *testing.B, s func(int) Stream) { s(limit).bench(b, in, t.task) }
			cases = append(cases,
				Case{Name: "stream/" + name, Impls: measure(streams(), bench), Targets: targets},
				Case{Name: "ordered/" + name, Impls: measure(orderedStreams(), bench), Targets: targets},
			)
		}
	}
	return cases
}

func (s Stream) bench(b *testing.B, in []int, task Task) {
	f := task.call()
	results := 0
	each := func(int) { results++ }
	benchScope(b, task, func(ctx context.Context) error {
		results = 0
		err := s(ctx, in, f, each)
		if results != len(in) {
			b.Errorf("%d results of %d items", results, len(in))
		}
		return err
	})
}
