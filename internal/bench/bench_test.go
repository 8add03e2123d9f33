package bench_test

import (
	"testing"

	"github.com/grove-go/grove/internal/bench"
)

func BenchmarkPeers(b *testing.B) {
	for _, c := range bench.Cases() {
		for _, impl := range c.Impls {
			b.Run(c.Name+"/impl="+impl.Name, impl.Bench)
		}
	}
}
