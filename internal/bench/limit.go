package bench

import (
	"fmt"
	"testing"
)

// A Limited makes a [Spawn] that runs at most limit tasks at a time, and what releases it. Libraries whose limit
// belongs to a long-lived pool make the pool here; the others make their scope, with its limit, in each call.
type Limited func(limit int) (spawn Spawn, release func())

func limiters() []peer[Limited] {
	return []peer[Limited]{
		{Grove, groveLimited},
		{"errgroup", errgroupLimited},
		{"conc", concLimited},
		{"pond", pondLimited},
		{"ants", antsLimited},
	}
}

func limitCases() []Case {
	const limit, n = 16, 1000
	var cases []Case
	for _, t := range tasks() {
		c := Case{Name: fmt.Sprintf("limit=%d/n=%d/task=%s", limit, n, t.name)}
		if t.name == "noop" {
			c.Targets = []Target{{"errgroup", 0.15}, {"conc", 0.25}, {"pond", 0.50}}
		}
		c.Impls = measure(limiters(), func(b *testing.B, l Limited) {
			spawn, release := l(limit)
			defer release()
			spawn.bench(b, n, t.task)
		})
		cases = append(cases, c)
	}
	return cases
}
