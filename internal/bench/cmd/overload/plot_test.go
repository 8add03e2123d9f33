package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/load"
)

func TestPlotShowsGoodputAndLatencyOfBothModes(t *testing.T) {
	var x experiment
	for _, m := range modes {
		for _, percent := range []float64{50, 100, 200} {
			x.find(m, percent).Result = load.Result{Capacity: 100, Goodput: percent, P99: time.Second}
		}
	}
	file := filepath.Join(t.TempDir(), "plot.svg")
	require.NoError(t, x.draw(file))
	svg, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, text := range []string{"<svg", "with shedding", "without shedding", "goodput", "p99"} {
		require.Contains(t, string(svg), text)
	}
}

func TestRecordIsKeptFromRunToRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	var r, next record
	require.NoError(t, next.read(file), "the first run finds none")
	r.find(modes[1], 50).Goodput = 49
	require.NoError(t, r.keep(file))
	require.NoError(t, next.read(file))
	require.Equal(t, r, next)
	require.Same(t, next.Points[0], next.find(modes[1], 50))
}
