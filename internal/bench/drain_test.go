package bench_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/bench"
)

func TestEveryDrainAnswersAndEnds(t *testing.T) {
	for _, p := range bench.Drains() {
		for _, keepAlive := range []bool{true, false} {
			t.Run(p.Name, func(t *testing.T) {
				d, err := bench.MeasureDrain(t.Context(), p.Do, 4, keepAlive)
				require.NoError(t, err)
				require.GreaterOrEqual(t, d.Answered, 200)
				require.Positive(t, d.Lag)
			})
		}
		t.Run(p.Name, func(t *testing.T) {
			d, err := bench.MeasureLongDrain(t.Context(), p.Do, 10*time.Millisecond)
			require.NoError(t, err)
			require.Equal(t, 1, d.Answered)
			require.Zero(t, d.Lost)
		})
	}
}
