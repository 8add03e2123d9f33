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
	x := experiment{saturation: 100, points: make(map[mode][]point)}
	for _, m := range modes {
		for _, percent := range []float64{50, 100, 200} {
			x.points[m] = append(x.points[m], point{percent: percent, Result: load.Result{Goodput: percent, P99: time.Second}})
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
