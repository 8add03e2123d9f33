package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/grove-go/grove/executor"
)

// A Pooled calls f in one of a number of slots, and waits for a slot and then for f. If ctx ends first it returns: at
// once where its peer can leave a call behind, and otherwise when f does.
type Pooled func(ctx context.Context, f Call0) (int, error)

// Call0 is a call without an argument.
type Call0 = func(ctx context.Context) (int, error)

// A Pool makes a Pooled with so many slots, and what releases it.
type Pool func(workers int) (call Pooled, release func())

// leavers can leave a call behind, or are what one writes to be able to.
func leavers() []peer[Pool] {
	return []peer[Pool]{
		{Grove, groveDo},
		{"go", goLeave},
		{"go.stay", goStay},
		{"pond", pondCall},
		{"ants", antsCall},
		{"ants.multi", antsMultiCall},
		{"conc", concCall},
		{"errgroup", errgroupCall},
	}
}

// submitters return before the call has, and say later what it returned.
func submitters() []peer[Pool] {
	return []peer[Pool]{{Grove, groveSubmit}, {"go", goLeave}, {"pond", pondCall}, {"ants", antsCall}}
}

// stayers run the call on the goroutine of the caller.
func stayers() []peer[Pool] {
	return []peer[Pool]{
		{Grove, groveInline},
		{"chan", chanCall},
		{"semaphore", semaphoreCall},
		{"failsafe", failsafeCall},
	}
}

func groveDo(workers int) (Pooled, func()) { return groveCalls(workers) }

func groveInline(workers int) (Pooled, func()) { return groveCalls(workers, executor.Inline()) }

func groveCalls(workers int, opts ...executor.CallOption) (Pooled, func()) {
	p := newPool(executor.Config{Workers: workers, Queue: executor.Unbounded})
	return func(ctx context.Context, f Call0) (int, error) { return executor.Do(ctx, p, f, opts...) }, func() { _ = p.Close() }
}

func newPool(cfg executor.Config) *executor.Pool {
	p, err := executor.New(cfg)
	if err != nil {
		panic(err) // the configurations are constants
	}
	return p
}

// groveSubmit is what a Future costs that is awaited at once.
func groveSubmit(workers int) (Pooled, func()) {
	p := newPool(executor.Config{Workers: workers, Queue: executor.Unbounded})
	return func(ctx context.Context, f Call0) (int, error) { return executor.Submit(ctx, p, f).Await(ctx) }, func() { _ = p.Close() }
}

// callTasks are the work from the cheapest to the dearest; deep needs more stack than a goroutine is born with.
func callTasks() []struct {
	name string
	f    Call0
} {
	spin := spinFor(1)
	return []struct {
		name string
		f    Call0
	}{
		{"noop", func(context.Context) (int, error) { return 1, nil }},
		{"deep", func(context.Context) (int, error) { return descend(7), nil }},
		{"1us", func(ctx context.Context) (int, error) { return 1, spin(ctx) }},
		{"10ms-sleep", func(context.Context) (int, error) { time.Sleep(10 * time.Millisecond); return 1, nil }},
	}
}

// descend uses so many KiB of stack.
//
//go:noinline
func descend(kib int) int {
	var frame [1 << 10]byte
	if kib > 1 {
		frame[kib] = byte(descend(kib - 1))
	}
	return int(frame[kib]) + 1
}

// poolCases are calls below the limit, at it, and with many more callers than slots. The targets are for calls that find
// a free slot, and for many callers on few slots.
func poolCases() []Case {
	var cases []Case
	one := func() int { return 1 }
	perProcessor := func() int { return runtime.GOMAXPROCS(0) }
	for _, load := range []struct {
		callers string
		count   func() int
		workers int
	}{
		{"1", one, 4},
		{"P", perProcessor, 8},
		{"64", func() int { return 64 }, 4},
		{"1000", func() int { return 1000 }, 4},
	} {
		for _, t := range callTasks() {
			workers, each := load.workers, t.name == "10ms-sleep"
			if each {
				workers = max(workers, load.count()/10) // a round in which everybody sleeps should not take seconds
			}
			of := func(kind string, peers []peer[Pool]) Case {
				return Case{
					Name:  fmt.Sprintf("%s/callers=%s/workers=%d/task=%s", kind, load.callers, workers, t.name),
					Impls: measure(peers, func(b *testing.B, p Pool) { p.bench(b, load.count(), workers, t.f, each) }),
				}
			}
			c := of("call", leavers())
			switch {
			case load.callers == "1" && t.name == "noop":
				c.Targets = []Target{{"go", 1}, {"pond", 0.25}, {"ants", 0.9}}
			case load.callers == "1" && t.name == "deep":
				c.Targets = []Target{{"go", 0.4}}
			case load.callers == "64" && t.name == "noop":
				c.Targets = []Target{{"ants", 1}}
			}
			inline := of("call-inline", stayers())
			if t.name == "noop" {
				inline.Targets = []Target{{"chan", 2}}
			}
			cases = append(cases, c, inline, of("call-submit", submitters()))
		}
	}
	return append(cases, waitCases()...)
}

// bench measures calls that so many callers make, each one after the other. An iteration is one call or, if each is
// set, one of each caller.
func (p Pool) bench(b *testing.B, callers, workers int, f Call0, each bool) {
	b.ReportAllocs()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	call, release := p(workers)
	defer release()
	_, _ = f(ctx)
	b.ResetTimer()
	defer b.StopTimer() // before the release
	if callers == 1 {
		for range b.N {
			if _, err := call(ctx, f); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	calls := b.N
	if each {
		calls *= callers
	}
	var callings sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		callings.Go(func() {
			<-start
			for range calls/callers + min(1, max(0, calls%callers-i)) {
				if _, err := call(ctx, f); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	b.ResetTimer() // it is not the callers that are measured
	close(start)
	callings.Wait()
}

// waitCases are half as many calls as can run, as many, and twice as many, for half a second: each sleeps for a
// millisecond, and wakes a little later. Measured is how long those of the second half waited that were run; a queue
// without an end does well at the beginning only.
func waitCases() []Case {
	var cases []Case
	for _, load := range []float64{0.5, 1, 2} {
		for _, percent := range []int{50, 99} {
			cases = append(cases, Case{
				Name: fmt.Sprintf("call-wait/workers=4/load=%gx/wait=p%d", load, percent),
				Unit: "µs",
				Impls: measure([]peer[Pool]{
					{Grove, groveCoDel},
					{"grove.fifo", groveDo},
					{"pond", pondCall},
					{"ants", antsCall},
					{"ants.multi", antsMultiCall},
					{"conc", concCall},
					{"errgroup", errgroupCall},
					{"chan", chanCall},
					{"semaphore", semaphoreCall},
					{"failsafe", failsafeCall},
				}, func(b *testing.B, p Pool) { p.benchWait(b, load, percent) }),
			})
		}
	}
	return cases
}

func groveCoDel(workers int) (Pooled, func()) {
	p := newPool(executor.Config{Workers: workers, Queue: executor.Unbounded, Overload: &executor.CoDel{}})
	return func(ctx context.Context, f Call0) (int, error) { return executor.Do(ctx, p, f) }, func() { _ = p.Close() }
}

// benchWait reports the wait that so many percent of the calls that were run did not exceed, and how many ran.
func (p Pool) benchWait(b *testing.B, load float64, percent int) {
	const (
		workers = 4
		service = time.Millisecond
		spell   = 500 * time.Millisecond
	)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var waits []time.Duration
	iterations := 0
	for b.Loop() {
		iterations++
		call, release := p(workers)
		var mu sync.Mutex
		var callings sync.WaitGroup
		begin := time.Now()
		sent := 0
		tick := time.NewTicker(service)
		for time.Since(begin) < spell {
			<-tick.C
			for ; sent < int(load*workers*float64(time.Since(begin))/float64(service)); sent++ {
				came := time.Now()
				callings.Go(func() {
					_, _ = call(ctx, func(context.Context) (int, error) {
						wait := time.Since(came)
						mu.Lock()
						if came.Sub(begin) > spell/2 {
							waits = append(waits, wait)
						}
						mu.Unlock()
						time.Sleep(service)
						return 1, nil
					})
				})
			}
		}
		tick.Stop()
		callings.Wait()
		release()
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)*percent/100])/float64(time.Microsecond), "µs")
	b.ReportMetric(float64(len(waits))/float64(iterations), "calls")
}
