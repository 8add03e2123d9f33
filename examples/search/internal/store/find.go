package store

import (
	"context"

	"github.com/grove-go/grove/examples/search/internal/ucd"
	"github.com/grove-go/grove/taskgroup"
)

// Database is a table of the named characters.
type Database interface {
	// ByName returns at most limit characters whose names contain every word, shorter names first, then lower
	// code points. Words are ASCII in upper case, at least one, and not empty.
	ByName(ctx context.Context, words []string, limit int) ([]ucd.Char, error)
	// ByRune returns the character r, or none if r has no name.
	ByRune(ctx context.Context, r rune) ([]ucd.Char, error)
}

// Find answers q: the character that the query consists of, if it is a single one, and then those found by name.
// It returns when both look-ups have ended; they run at the same time, and when one fails the other is cancelled.
func Find(ctx context.Context, db Database, q Query) ([]ucd.Char, error) {
	var exact, named []ucd.Char
	err := taskgroup.Run(ctx, func(ctx context.Context, g *taskgroup.Group) (err error) {
		if r, ok := q.char(); ok {
			g.Go(func(ctx context.Context) (err error) {
				exact, err = db.ByRune(ctx, r)
				return err
			})
		}
		if words := q.words(); len(words) > 0 {
			named, err = db.ByName(ctx, words, q.Limit)
		}
		return err
	}, taskgroup.Name("find"))
	if err != nil {
		return nil, err
	}
	found := exact
	for _, c := range named {
		if len(exact) == 0 || c != exact[0] {
			found = append(found, c)
		}
	}
	return found[:min(len(found), q.Limit)], nil
}
