package flight_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup/flight"
)

func TestPanicOfTheLoadReachesEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		load := func(context.Context) (int, error) {
			time.Sleep(time.Second)
			panic(errLoad)
		}
		first := call(t.Context(), &g, "a", load)
		second := call(context.Background(), &g, "a", never)
		for _, caller := range []<-chan outcome{first, second} {
			got := <-caller
			require.Equal(t, time.Second, got.after)
			require.True(t, got.shared)
			var p *flight.PanicError
			require.ErrorAs(t, got.err, &p)
			require.Equal(t, "panic in load of a: no such thing", p.Summary())
			require.Contains(t, string(p.Stack), "TestPanicOfTheLoadReachesEveryCaller.func1.1(")
			require.ErrorIs(t, got.err, errLoad)
		}
		require.Equal(t, outcome{1, false, nil, 0}, <-call(t.Context(), &g, "a", one))
	})
}

func TestGoexitOfTheLoadReachesEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		load := func(context.Context) (int, error) {
			time.Sleep(time.Second)
			runtime.Goexit()
			return 1, nil
		}
		first := call(context.Background(), &g, "a", load)
		second := call(t.Context(), &g, "a", never)
		require.Equal(t, outcome{0, true, flight.ErrGoexit, time.Second}, <-first)
		require.Equal(t, outcome{0, true, flight.ErrGoexit, time.Second}, <-second)
		require.Equal(t, outcome{1, false, nil, 0}, <-call(t.Context(), &g, "a", one))
	})
}

func TestPanicThatNobodyWaitsForIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		ctx, leave := leaver(t)
		caller := call(ctx, &g, "a", func(ctx context.Context) (int, error) {
			<-ctx.Done()
			panic("late")
		})
		leave()
		require.Equal(t, errGone, (<-caller).err)
	})
}
