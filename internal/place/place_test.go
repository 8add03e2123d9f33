package place_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/place"
)

const here = "github.com/grove-go/grove/internal/place_test."

type thing struct{}

func (thing) method() {}

func named() {}

//go:noinline
func outer() func() func() { return func() func() { return func() {} } }

func TestFunctionOfAnEntry(t *testing.T) {
	_, file, line, _ := runtime.Caller(0)
	literal := func() {}
	for _, c := range []struct {
		f                func()
		function, around string
		line             int
	}{
		{named, here + "named", here + "named", line - 6},
		{literal, here + "TestFunctionOfAnEntry.func1", here + "TestFunctionOfAnEntry", line + 1},
		{outer()(), here + "outer.func1.1", here + "outer.func1", line - 3},
	} {
		p := place.Of(place.Entry(c.f))
		require.Equal(t, c.function, p.Function)
		require.Equal(t, c.around, p.Around)
		require.Equal(t, file, p.File)
		require.Equal(t, c.line, p.Line)
		require.Same(t, p, place.Of(place.Entry(c.f)))
	}
}

func TestMethodValueHasNoLine(t *testing.T) {
	p := place.Of(place.Entry(thing{}.method))
	require.Equal(t, place.Place{Function: here + "thing.method", Around: here + "thing.method"}, *p)
}

func TestNothingIsKnownOfWhatIsNoCode(t *testing.T) {
	require.Zero(t, *place.Of(1))
}

func TestOfAtOnce(t *testing.T) {
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for pc := range uintptr(50) {
				require.Zero(t, *place.Of(pc))
			}
		})
	}
	running.Wait()
}
