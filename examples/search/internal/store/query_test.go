package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/search/internal/store"
)

func TestTextsThatAskForTheSameMakeEqualQueries(t *testing.T) {
	want := store.Query{Text: "SNOW MAN", Limit: 20}
	require.Equal(t, want, store.NewQuery("snow man", 20))
	require.Equal(t, want, store.NewQuery("  Snow \t MAN\n", 20))
	require.NotEqual(t, want, store.NewQuery("snow man", 21))
	require.NotEqual(t, want, store.NewQuery("snowman", 20))
}

func TestASingleCharacterIsNotFoldedSinceItAsksForItself(t *testing.T) {
	require.Equal(t, store.Query{Text: "a", Limit: 1}, store.NewQuery(" a ", 1))
	require.NotEqual(t, store.NewQuery("a", 1), store.NewQuery("A", 1))
}

func TestASingleCharacterOfWhiteSpaceIsNotLeftOut(t *testing.T) {
	for _, space := range []string{" ", "\u00A0", "\u3000"} {
		require.Equal(t, space, store.NewQuery(space, 1).Text)
	}
	require.Empty(t, store.NewQuery(" \u00A0", 1).Text)
}

func TestLettersThatAreInNoNameAreNotTurnedIntoOnesThatAre(t *testing.T) {
	require.Equal(t, "ſNOW", store.NewQuery("ſnow", 1).Text)
}
