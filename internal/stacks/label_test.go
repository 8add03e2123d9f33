package stacks_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/internal/stacks"
)

// orphan parks a goroutine whose parent, which has the label, has ended.
func orphan(t *testing.T, value string, ids chan<- uint64, release <-chan struct{}) (over <-chan struct{}) {
	t.Helper()
	ended, started := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(started)
		stacks.Label(t.Context(), "stacks", value)
		go func() {
			defer close(ended)
			parked(ids, release)
		}()
	}()
	<-started
	return ended
}

func TestLabeledFindsGoroutinesWhoseParentsHaveEnded(t *testing.T) {
	release := make(chan struct{})
	ids := make(chan uint64, 3)
	var over []<-chan struct{}
	for _, value := range []string{"a", "a", "ab"} {
		over = append(over, orphan(t, value, ids, release))
	}
	one := <-ids
	for range 2 {
		<-ids
	}
	for _, c := range []struct {
		value, more string
	}{{"a", "2 more:\n"}, {"ab", "1 more:\n"}} {
		// They have told their numbers a moment before they park.
		for !strings.HasPrefix(string(stacks.Labeled("stacks", c.value, nil)), c.more) {
		}
		text := string(stacks.Labeled("stacks", c.value, nil))
		require.Contains(t, text, "stacks_test.parked(...)\n\t")
		require.Contains(t, text, "stacks_test.go:")
	}
	for !strings.HasPrefix(string(stacks.Labeled("stacks", "a", stacks.Of(64<<20, one)[one])), "1 more:\n") {
	}
	require.Empty(t, stacks.Labeled("stacks", "b", nil))
	close(release)
	for _, ended := range over {
		<-ended
	}
}
