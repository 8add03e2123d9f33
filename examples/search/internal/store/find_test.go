package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/search/internal/store"
	"github.com/grove-go/grove/examples/search/internal/ucd"
)

// fake is a Database of two functions.
type fake struct {
	byName func(ctx context.Context, words []string, limit int) ([]ucd.Char, error)
	byRune func(ctx context.Context, r rune) ([]ucd.Char, error)
}

func (f fake) ByName(ctx context.Context, words []string, limit int) ([]ucd.Char, error) {
	return f.byName(ctx, words, limit)
}

func (f fake) ByRune(ctx context.Context, r rune) ([]ucd.Char, error) { return f.byRune(ctx, r) }

var (
	smallA = ucd.Char{Rune: 'a', Name: "LATIN SMALL LETTER A"}
	baby   = ucd.Char{Rune: '👶', Name: "BABY"}
)

func TestFindPutsTheCharacterItselfFirstAndOnce(t *testing.T) {
	db := fake{
		byName: func(_ context.Context, words []string, limit int) ([]ucd.Char, error) {
			require.Equal(t, []string{"A"}, words)
			require.Equal(t, 3, limit)
			return []ucd.Char{baby, smallA}, nil
		},
		byRune: func(_ context.Context, r rune) ([]ucd.Char, error) {
			require.Equal(t, 'a', r)
			return []ucd.Char{smallA}, nil
		},
	}
	found, err := store.Find(t.Context(), db, store.NewQuery("a", 3))
	require.NoError(t, err)
	require.Equal(t, []ucd.Char{smallA, baby}, found)
}

func TestFindReturnsNoMoreThanTheLimit(t *testing.T) {
	db := fake{
		byName: func(context.Context, []string, int) ([]ucd.Char, error) { return []ucd.Char{baby}, nil },
		byRune: func(context.Context, rune) ([]ucd.Char, error) { return []ucd.Char{smallA}, nil },
	}
	found, err := store.Find(t.Context(), db, store.NewQuery("a", 1))
	require.NoError(t, err)
	require.Equal(t, []ucd.Char{smallA}, found)
}

func TestFindDoesNotLookForNamesWithWhatIsInNone(t *testing.T) {
	snowman := ucd.Char{Rune: '☃', Name: "SNOWMAN"}
	db := fake{byRune: func(context.Context, rune) ([]ucd.Char, error) { return []ucd.Char{snowman}, nil }}
	found, err := store.Find(t.Context(), db, store.NewQuery("☃", 5))
	require.NoError(t, err)
	require.Equal(t, []ucd.Char{snowman}, found)

	found, err = store.Find(t.Context(), fake{}, store.NewQuery("naïve ☃", 5))
	require.NoError(t, err)
	require.Empty(t, found)
}

func TestFindLooksForTheCharacterAndTheNamesAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		byRune, byName := make(chan struct{}), make(chan struct{})
		db := fake{
			byName: func(context.Context, []string, int) ([]ucd.Char, error) {
				close(byName)
				<-byRune
				return nil, nil
			},
			byRune: func(context.Context, rune) ([]ucd.Char, error) {
				close(byRune)
				<-byName
				return nil, nil
			},
		}
		_, err := store.Find(t.Context(), db, store.NewQuery("a", 5))
		require.NoError(t, err)
	})
}

func TestFindCancelsTheOtherLookUpWhenOneFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		waits := func(ctx context.Context) ([]ucd.Char, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		for _, db := range []fake{
			{
				byName: func(context.Context, []string, int) ([]ucd.Char, error) { return nil, broken },
				byRune: func(ctx context.Context, _ rune) ([]ucd.Char, error) { return waits(ctx) },
			},
			{
				byName: func(ctx context.Context, _ []string, _ int) ([]ucd.Char, error) { return waits(ctx) },
				byRune: func(context.Context, rune) ([]ucd.Char, error) { return nil, broken },
			},
		} {
			found, err := store.Find(t.Context(), db, store.NewQuery("a", 5))
			require.ErrorIs(t, err, broken)
			require.NotErrorIs(t, err, context.Canceled)
			require.Empty(t, found)
		}
	})
}
