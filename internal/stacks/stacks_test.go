package stacks_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/grove-go/grove/internal/stacks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parked(id chan<- uint64, release <-chan struct{}) {
	id <- stacks.ID()
	<-release
}

func parkedParent(id chan<- uint64, release <-chan struct{}) {
	child := make(chan uint64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		parked(child, release)
	}()
	<-child
	id <- stacks.ID()
	<-done
}

func TestOfFindsGoroutinesAndWhatTheyStarted(t *testing.T) {
	release := make(chan struct{})
	ids := make(chan uint64)
	done := make(chan struct{})
	go func() { defer close(done); parkedParent(ids, release) }()
	parent := <-ids
	require.NotEqual(t, stacks.ID(), parent)

	found := stacks.Of(64<<20, parent, stacks.ID())
	require.Len(t, found, 2)
	require.Contains(t, string(found[parent]), "stacks_test.parkedParent")
	require.Contains(t, string(found[parent]), "stacks_test.parked(")
	require.Contains(t, string(found[stacks.ID()]), "TestOfFindsGoroutinesAndWhatTheyStarted")

	close(release)
	<-done
}

func TestOfLeavesOutGoroutinesThatEnded(t *testing.T) {
	release := make(chan struct{})
	ids := make(chan uint64)
	done := make(chan struct{})
	go func() { defer close(done); parked(ids, release) }()
	id := <-ids
	close(release)
	<-done
	for len(stacks.Of(64<<20, id)) != 0 { // done is closed a moment before the goroutine is gone
	}
}

func TestOfStopsAtTheLimit(t *testing.T) {
	require.Empty(t, stacks.Of(20, 1<<60, stacks.ID())[1<<60])
	require.LessOrEqual(t, len(stacks.Of(100, stacks.ID())[stacks.ID()]), 101)
}
