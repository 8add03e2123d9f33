package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// blockedSpawners are compared with bare goroutines: what runs tasks that block cannot have less.
func blockedSpawners() []peer[Spawn] {
	return []peer[Spawn]{
		{Grove, groveSpawn},
		{"errgroup", errgroupSpawn},
		{"conc", concSpawn},
		{"go", bareSpawn},
	}
}

// blockedCases measure the memory of tasks that all wait at the same time. The million takes half a minute and 3 GB, and
// shows that the number does not matter: a short run leaves it out.
func blockedCases() []Case {
	var cases []Case
	for _, n := range []int{100_000, 1_000_000} {
		cases = append(cases, Case{
			Name: fmt.Sprintf("blocked/n=%d", n),
			Unit: "B/task",
			Impls: measure(blockedSpawners(), func(b *testing.B, s Spawn) {
				if n > 100_000 && testing.Short() {
					b.Skip("short run")
				}
				s.benchBlocked(b, n)
			}),
			Targets: []Target{{"go", 96}},
		})
	}
	return cases
}

// benchBlocked reports the memory that n tasks take while all of them are blocked: objects on the heap, and stacks. The
// runtime keeps the descriptors of goroutines for ever; they are made before, and not in the result.
func (s Spawn) benchBlocked(b *testing.B, n int) {
	b.ReportAllocs()
	_ = Spawn(bareSpawn).blockedBytes(b, n)
	var bytes int64
	for b.Loop() {
		bytes += s.blockedBytes(b, n)
	}
	b.ReportMetric(float64(bytes)/float64(n)/float64(b.N), "B/task")
}

func (s Spawn) blockedBytes(b *testing.B, n int) int64 {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var started, joined sync.WaitGroup
	gate := make(chan struct{})
	task := func(context.Context) error { //nolint:unparam // what a Spawn is given
		started.Done()
		<-gate
		return nil
	}
	before := bytesInUse()
	started.Add(n)
	joined.Go(func() {
		if err := s(ctx, n, task); err != nil {
			b.Error(err)
		}
	})
	started.Wait()
	bytes := bytesInUse() - before
	close(gate)
	joined.Wait()
	return bytes
}

func bytesInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
