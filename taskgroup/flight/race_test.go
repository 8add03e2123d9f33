package flight_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup/flight"
)

// TestCallersGetTheResultOfALoadThatWasAliveForThem lets things happen in the same moment: in a bubble all goroutines whose
// time has come run in parallel.
func TestCallersGetTheResultOfALoadThatWasAliveForThem(t *testing.T) {
	const callers, calls, keys = 16, 200, 3
	type loaded struct {
		key       int
		abandoned bool
	}
	synctest.Test(t, func(t *testing.T) {
		g := flight.Group[int, loaded]{Timeout: 6 * time.Microsecond}
		var loads, results, left atomic.Int64
		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(caller), 1))
				for range calls {
					key := r.IntN(keys)
					takes := time.Duration(r.IntN(8)) * time.Microsecond
					ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(1+r.IntN(5))*time.Microsecond, errGone)
					v, _, err := g.Do(ctx, key, func(ctx context.Context) (loaded, error) {
						loads.Add(1)
						time.Sleep(takes)
						cause := context.Cause(ctx)
						return loaded{key, errors.Is(cause, context.Canceled)}, nil
					})
					cancel()
					switch {
					case err == nil && v == loaded{key: key}:
						results.Add(1)
					case errors.Is(err, errGone):
						left.Add(1)
					default:
						t.Errorf("key %d: %+v, %v", key, v, err)
					}
					if r.IntN(10) == 0 {
						g.Forget(key)
					}
					if r.IntN(4) == 0 {
						time.Sleep(time.Duration(r.IntN(4)) * time.Microsecond)
					}
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Millisecond) // what was left behind returns
		require.Zero(t, g.Keys())
		require.Equal(t, int64(callers*calls), results.Load()+left.Load())
		require.Positive(t, results.Load())
		require.Positive(t, left.Load())
		require.Less(t, loads.Load(), int64(callers*calls))
	})
}
