package looplag_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

// runtimeBounds are the bounds of the runtime's buckets in nanoseconds, the infinite ones included.
func runtimeBounds() []float64 {
	bounds := []float64{math.Inf(-1), 0, 64, 64 + 16}
	for octave := 64.0; octave < 1<<46; octave *= 2 {
		for sub := 1.0; sub <= 4; sub++ {
			if b := octave + sub*octave/4; b > bounds[len(bounds)-1] {
				bounds = append(bounds, b)
			}
		}
	}
	return append(bounds, math.Inf(1))
}

// quantile is the value at rank q of sorted values, as a count finds it.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, max(0, int(math.Ceil(q*float64(len(sorted))))-1))]
}

func TestDistributionAgreesWithBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	bounds := runtimeBounds()
	for range 300 {
		n := 1 + rng.IntN(1000)
		values := make([]float64, n)
		weights := make([]uint64, len(bounds)-1)
		scale := math.Exp(rng.Float64() * 25)
		var total float64
		for i := range values {
			values[i] = 64 + rng.ExpFloat64()*scale
			total += values[i]
			at, exact := slices.BinarySearch(bounds, values[i])
			if !exact {
				at--
			}
			weights[at]++
		}
		slices.Sort(values)
		d := looplag.Distribution(weights, bounds)
		require.True(t, d.OK)
		require.Equal(t, uint64(n), d.N)
		for q, got := range map[float64]time.Duration{0.50: d.P50, 0.90: d.P90, 0.99: d.P99} {
			// Both are in the same bucket, which is a quarter wide.
			require.InEpsilon(t, quantile(values, q), float64(got), 0.26)
		}
		require.GreaterOrEqual(t, float64(d.Max)+1, values[n-1])
		require.LessOrEqual(t, float64(d.Max), 1.25*values[n-1]+1)
		require.InEpsilon(t, total, looplag.Sum(weights, bounds), 0.126)
	}
}

func TestDistributionAtInfinity(t *testing.T) {
	bounds := []float64{math.Inf(-1), 0, 100, math.Inf(1)}
	require.Equal(t, looplag.Dist{}, looplag.Distribution([]uint64{0, 0, 0}, bounds))
	require.Equal(t, looplag.Dist{N: 3, OK: true}, looplag.Distribution([]uint64{3, 0, 0}, bounds))
	require.Equal(t, looplag.Dist{N: 3, P50: 100, P90: 100, P99: 100, Max: 100, OK: true},
		looplag.Distribution([]uint64{0, 0, 3}, bounds))
	require.Equal(t, looplag.Dist{N: 100, P50: 50, P90: 90, P99: 99, Max: 100, OK: true},
		looplag.Distribution([]uint64{0, 100, 0}, bounds))
	require.Equal(t, 0.0, looplag.Sum([]uint64{3, 0, 0}, bounds))
	require.Equal(t, 3*100+2*50.0, looplag.Sum([]uint64{1, 2, 3}, bounds))
}
