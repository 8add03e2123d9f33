//go:build unix

package looplag_test

import (
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

func TestNewNotInGoAreThoseOfTheWindow(t *testing.T) {
	before := looplag.New(looplag.Config{})
	var ends [2]int
	require.NoError(t, syscall.Pipe(ends[:])) // in which a Read blocks a thread
	var wg sync.WaitGroup
	wg.Go(func() {
		var b [1]byte
		_, _ = syscall.Read(ends[0], b[:])
	})
	for before.Snapshot().NewNotInGo < 1 {
		runtime.Gosched()
	}
	s := looplag.New(looplag.Config{}).Snapshot()
	require.NoError(t, syscall.Close(ends[1]))
	wg.Wait()
	require.NoError(t, syscall.Close(ends[0]))
	require.Less(t, s.NewNotInGo, s.NotInGo)
}
