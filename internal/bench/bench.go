// Package bench measures Grove beside the libraries that do the same work.
//
// A [Case] is one workload together with everybody who can do it. The workload is written once, against a small function
// type ([Spawn], [Limited], [Map], [ForEach], [Stream], [First], [Coalesce], [Pooled]); each peer implements that type in a file of
// its own, in the way its documentation recommends, with the same error semantics: the first failure is returned and
// cancels the context of the other tasks, and the call returns when all of them have. A peer that knows no errors is given
// the few lines that its users write. peers_test.go holds everybody to that.
//
// What is measured:
//
//   - One iteration is a whole scope: make it, start the tasks, join them. A pool that is meant to be long-lived is
//     made outside the loop.
//   - The parent is a context that can be cancelled, as a request's is.
//   - The task is one function value for all tasks of a scope. A library that does not hand the context to its tasks
//     gets one closure over it per scope, so that what the closures of calling code cost is nobody's ratio.
//   - Memory is that of a million tasks that all wait: objects on the heap, and stacks.
//   - Spinning tasks run a calibrated number of instructions, not until a clock says so: a task that was interrupted
//     still has all its work to do.
//
// Run the benchmarks with
//
//	go test -run '^$' -bench Peers ./internal/bench
//
// or, to compare, with the command of internal/bench/cmd/table, which runs all implementations of a case back to back,
// several rounds over, and prints ratios of medians: noise of the machine then hits everybody alike. Ratios hold
// for the versions in this module's go.mod and for the machine that printed them; absolute times are not comparable
// between runs.
package bench

import (
	"context"
	"slices"
	"testing"
)

// A Case is one workload and its implementations.
type Case struct {
	// Name is a path of key=value parts, so that benchstat can pivot on them.
	Name string
	// Impls begins with Grove's.
	Impls []Impl
	// Unit is empty if time is measured. Otherwise it is the metric that the benchmarks report and that is compared.
	Unit string
	// Targets are upper bounds of Grove's result, compared with the named implementation's.
	Targets []Target
}

// An Impl is one implementation's benchmark of a case.
type Impl struct {
	Name  string
	Bench func(*testing.B)
}

// A peer is somebody's implementation of a shape, which is one of the function types of this package.
type peer[Shape any] struct {
	Name string
	Do   Shape
}

// measure makes a case's implementations of a shape's peers.
func measure[Shape any](peers []peer[Shape], bench func(b *testing.B, do Shape)) []Impl {
	var impls []Impl
	for _, p := range peers {
		impls = append(impls, Impl{p.Name, func(b *testing.B) { bench(b, p.Do) }})
	}
	return impls
}

// A Target is an upper bound of a ratio of times, or of a difference of what has a [Case.Unit].
type Target struct {
	Impl string
	Max  float64
}

// Grove is the name of the implementation that the others are compared with.
const Grove = "grove"

// Peers tells what the other implementations are: a module, or what they do without one.
var Peers = map[string]string{
	"errgroup":            "golang.org/x/sync",
	"singleflight.DoChan": "golang.org/x/sync",
	"singleflight.Do":     "golang.org/x/sync",
	"conc":                "github.com/sourcegraph/conc",
	"go":                  "the standard library by hand",
	"go.stay":             "the standard library by hand",
	"chan":                "the standard library by hand",
	"semaphore":           "golang.org/x/sync",
	"grove.fifo":          "without CoDel",
	"pond":                "github.com/alitto/pond/v2",
	"ants":                "github.com/panjf2000/ants/v2",
	"ants.multi":          "github.com/panjf2000/ants/v2",
	"context":             "the standard library",
	"context.static":      "the standard library",
	"failsafe":            "github.com/failsafe-go/failsafe-go",
	"TimeoutHandler":      "the standard library",
	"unobserved":          "Grove without observe",
	"hooks":               "Grove with hooks that are empty",
	"traced":              "Grove with observe and a span that records",
}

// Cases returns all cases.
func Cases() []Case {
	return slices.Concat(spawnCases(), limitCases(), loopCases(), streamCases(), firstCases(), flightCases(), blockedCases(),
		deadlineCases(), attemptCases(), middlewareCases(), poolCases(), observeCases())
}

// benchScope measures what scope costs, in which task is run.
func benchScope(b *testing.B, task Task, scope func(context.Context) error) {
	b.ReportAllocs()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_ = task(ctx) // a spinning task calibrates itself in its first call
	for b.Loop() {
		if err := scope(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
