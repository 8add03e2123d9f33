package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheBuildThatCannotBeObservedBuilds(t *testing.T) {
	t.Chdir("../../../..")
	file, err := overlay(t.TempDir())
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", file, "./taskgroup", "./executor").CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestAStepThatThereIsNotIsRefused(t *testing.T) {
	require.ErrorContains(t, run([]string{"hook"}, nil), `"hook"`)
}

func TestRatiosAreGathered(t *testing.T) {
	ratios := make(map[string][]float64)
	require.NoError(t, gather("goos: linux\n"+
		"BenchmarkObserved/query=word-2 \t 752\t 21759732 ns/op\t 0.9635 on/off\t 5.446 p99-off-ms\t 0.9917 p99-on/off\t 0.007 ±\n"+
		"BenchmarkObserved/query=word/control-2 \t 865\t 20319482 ns/op\t 1.004 on/off\t 5.332 p99-off-ms\t 1.037 p99-on/off\t 0.005 ±\nPASS\n", ratios))
	require.Equal(t, map[string][]float64{
		"query=word-2 throughput": {0.9635}, "query=word-2 p99": {0.9917},
		"query=word/control-2 throughput": {1.004}, "query=word/control-2 p99": {1.037},
	}, ratios)
	require.ErrorContains(t, gather("FAIL", ratios), `"FAIL"`)
}

func TestMedian(t *testing.T) {
	require.InDelta(t, 2, median([]float64{9, 1, 2}), 0)
	require.InDelta(t, 3, median([]float64{4, 9, 1, 2}), 0)
}
