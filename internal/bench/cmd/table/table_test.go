package main

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/bench"
)

// rounds are results of one iteration each.
func rounds(allocs uint64, times ...time.Duration) series {
	var s series
	for _, d := range times {
		s = append(s, testing.BenchmarkResult{N: 1, T: d, MemAllocs: allocs})
	}
	return s
}

// bytes is a result in a unit.
func bytes(allocs uint64, n float64) series {
	return series{{N: 1, MemAllocs: allocs, Extra: map[string]float64{"B/task": n}}}
}

func TestMedianIsTheMiddleOrTheMeanOfTheTwoInTheMiddle(t *testing.T) {
	require.InDelta(t, 7.0, rounds(0, 7).median(""), 0)
	require.InDelta(t, 2.0, rounds(0, 100, 1, 2).median(""), 0)
	require.InDelta(t, 2.5, rounds(0, 100, 1, 2, 3).median(""), 0)
	require.InDelta(t, 2.5, series{{N: 4, T: 10}}.median(""), 0)
	require.InDelta(t, 7.0, bytes(1, 7).median("B/task"), 0)
}

func TestDurationHasThreeDigits(t *testing.T) {
	for want, ns := range map[string]float64{
		"0.5 ns": 0.5, "999 ns": 999.4, "1 µs": 999.6, "12.3 µs": 12_345, "1.23 ms": 1_234_567, "2 s": 2e9, "3e+03 s": 3e12,
	} {
		require.Equal(t, want, duration(ns))
	}
}

func TestReportShowsRatiosAndWhatMissedItsTarget(t *testing.T) {
	cases := []bench.Case{
		{Name: "won", Impls: []bench.Impl{{Name: bench.Grove}, {Name: "errgroup"}}, Targets: []bench.Target{{Impl: "errgroup", Max: 0.5}}},
		{
			Name: "lost", Impls: []bench.Impl{{Name: bench.Grove}, {Name: "errgroup"}, {Name: "go"}},
			Targets: []bench.Target{{Impl: "errgroup", Max: 0.99}, {Impl: "go", Max: 1.1}},
		},
		{Name: "no target", Impls: []bench.Impl{{Name: bench.Grove}, {Name: "go"}}},
		{
			Name: "unit", Unit: "B/task", Impls: []bench.Impl{{Name: bench.Grove}, {Name: "errgroup"}, {Name: "go"}},
			Targets: []bench.Target{{Impl: "errgroup", Max: 96}, {Impl: "go", Max: 96}},
		},
	}
	measured := results{
		{2, "won", bench.Grove}:       rounds(1, 40, 50, 60),
		{2, "won", "errgroup"}:        rounds(9, 100, 90, 110),
		{2, "lost", bench.Grove}:      rounds(1, 100),
		{2, "lost", "errgroup"}:       rounds(2, 100),
		{2, "lost", "go"}:             rounds(3, 80),
		{2, "no target", bench.Grove}: rounds(1, 300),
		{2, "no target", "go"}:        rounds(1, 100),
		{2, "unit", bench.Grove}:      bytes(4, 2160.2),
		{2, "unit", "errgroup"}:       bytes(5, 2064),
		{2, "unit", "go"}:             bytes(6, 2063),
	}
	var out strings.Builder
	require.NoError(t, report(&out, "table", cases, []int{2}, measured))
	_, table, ok := strings.Cut(out.String(), "| P |")
	require.True(t, ok)
	require.Equal(t, ` case | grove | errgroup | go | target | |
|--:|---|--:|--:|--:|---|---|
| 2 | won | 50 ns, 1 | 0.50, 9 | | errgroup ≤ 0.50 | met |
| 2 | lost | 100 ns, 1 | 1.00, 2 | 1.25, 3 | errgroup ≤ 0.99, go ≤ 1.10 | **missed: errgroup, go** |
| 2 | no target | 300 ns, 1 | | 3.00, 1 |  |  |
| 2 | unit | 2160 B/task, 4 | +96, 5 | +97, 6 | errgroup ≤ +96, go ≤ +96 | **missed: go** |

2 of 5 targets met.
`, table)
}

func TestRunMeasuresTheCasesThatMatchInEachRound(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	var out, log strings.Builder
	require.NoError(t, run([]string{"-bench", "^spawn/n=1/task=noop$", "-benchtime", "1x", "-count", "2", "-cpu", "1,2", "-v"}, &out, &log))
	require.Equal(t, 2*2*4, strings.Count(log.String(), "BenchmarkPeers/spawn/n=1/task=noop/impl="))
	require.Equal(t, 2*2, strings.Count(log.String(), "/impl=conc-"))
	require.Contains(t, out.String(), "\n| 1 | spawn/n=1/task=noop | ")
	require.Contains(t, out.String(), "\n| 2 | spawn/n=1/task=noop | ")
	require.Equal(t, procs, runtime.GOMAXPROCS(0))
}

func TestWhatIsNoTimeIsMeasuredInTheFirstRoundOnly(t *testing.T) {
	impls := []bench.Impl{{Name: bench.Grove, Bench: func(b *testing.B) { b.ReportMetric(96, "B/task") }}}
	cases := []bench.Case{{Name: "time", Impls: impls}, {Name: "unit", Unit: "B/task", Impls: impls}}
	measured := make(results)
	for round := range 3 {
		require.NoError(t, measured.measure(cases, []int{2}, round, io.Discard))
	}
	require.Len(t, measured[key{2, "time", bench.Grove}], 3)
	require.Len(t, measured[key{2, "unit", bench.Grove}], 1)
	require.InDelta(t, 96.0, measured[key{2, "unit", bench.Grove}].median("B/task"), 0)
}

func TestRunSaysWhatIsWrongWithItsArguments(t *testing.T) {
	for arg, want := range map[string]string{
		"-bench=(":      "-bench: error parsing regexp: missing closing ): `(`",
		"-bench=none":   `no case matches "none"`,
		"-count=0":      "-count is 0, want 1 or more",
		"-cpu=0":        `-cpu: "0" is not a number of processors`,
		"-cpu=1,x":      `-cpu: "x" is not a number of processors`,
		"-benchtime=no": "-benchtime=no: invalid duration",
		"extra":         `unexpected argument "extra"`,
	} {
		require.EqualError(t, run([]string{arg}, io.Discard, io.Discard), want)
	}
}
