package store_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/internal/servicetest"
	"github.com/grove-go/grove/examples/search/internal/store"
	"github.com/grove-go/grove/examples/search/internal/ucd"
)

// all has the characters in the order of answers.
var all = sync.OnceValue(func() []ucd.Char {
	chars := ucd.All()
	slices.SortFunc(chars, func(a, b ucd.Char) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Rune, b.Rune))
	})
	return chars
})

// model is the rule of the package, written without a database.
func model(words []string, limit int) []ucd.Char {
	var found []ucd.Char
	for _, c := range all() {
		if len(found) == limit {
			break
		}
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(c.Name, word) }) {
			found = append(found, c)
		}
	}
	return found
}

// sharedSQLite is one for all tests that only ask, since the race detector can make building it take ten seconds. TestMain
// closes it.
var (
	sharedSQLite *store.SQLite
	shareSQLite  = sync.OnceValue(func() error {
		db, err := store.NewSQLite(2)
		if err == nil {
			err = db.Start(context.Background(), nil)
		}
		if err == nil {
			sharedSQLite = db
		}
		return err
	})
)

func startSQLite(t testing.TB) *store.SQLite {
	t.Helper()
	require.NoError(t, shareSQLite())
	return sharedSQLite
}

func startPostgresAt(t testing.TB, c store.PostgresConfig) *store.Postgres {
	t.Helper()
	db, err := store.NewPostgres(c)
	require.NoError(t, err)
	require.NoError(t, db.Start(t.Context(), nil))
	t.Cleanup(func() { require.NoError(t, db.Drain(context.WithoutCancel(t.Context()))) })
	return db
}

// TestDatabasesAnswerAlike holds each of them to the same rule. They are loaded once.
func TestDatabasesAnswerAlike(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) store.Database{
		"SQLite": func(t *testing.T) store.Database { return startSQLite(t) },
		"Postgres": func(t *testing.T) store.Database {
			url, schema := servicetest.Postgres(t)
			return startPostgresAt(t, store.PostgresConfig{URL: url, Schema: schema})
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := start(t)
			for name, test := range map[string]func(t *testing.T, db store.Database){
				"ByNameFollowsTheRule":                      byNameFollowsTheRule,
				"ByNameTakesEveryCharacterForItself":        byNameTakesEveryCharacterForItself,
				"ByNameFollowsTheRuleForWordsCutOutOfNames": byNameFollowsTheRuleForWordsCutOutOfNames,
				"ByRuneReturnsTheCharacterOrNone":           byRuneReturnsTheCharacterOrNone,
				"FindReturnsTheCharactersInOrder":           findReturnsTheCharactersInOrder,
				"ByNameEndsWithItsContext":                  byNameEndsWithItsContext,
				"ByNameServesManyCallersAtOnce":             byNameServesManyCallersAtOnce,
			} {
				t.Run(name, func(t *testing.T) { test(t, db) })
			}
		})
	}
}

// matches compares an answer with the model's.
func matches(t *testing.T, db store.Database, words []string, limit int) {
	t.Helper()
	got, err := db.ByName(t.Context(), words, limit)
	require.NoError(t, err, "%q", words)
	if want := model(words, limit); !slices.Equal(want, got) {
		require.Equal(t, want, got, "%q", words)
	}
}

func byNameFollowsTheRule(t *testing.T, db store.Database) {
	for _, query := range []string{
		"SNOWMAN", "SNOW", "SNOW MAN", "MAN SNOW", "CAT", "LATIN SMALL LETTER", "SIGN", "-", "A", "AB", "1F", "QZ",
		"A B C", "SNOW A", "AN SNOWM", "ZZZ", "NOSUCHNAME", "X NOSUCHNAME", "MAN MAN MAN", //nolint:dupword // a word may be given twice
	} {
		for _, limit := range []int{1, 20, 100} {
			matches(t, db, strings.Fields(query), limit)
		}
	}
}

func byNameTakesEveryCharacterForItself(t *testing.T, db store.Database) {
	for r := rune('!'); r < 0x7F; r++ {
		if 'a' <= r && r <= 'z' {
			continue // words are in upper case
		}
		matches(t, db, []string{string(r)}, 20)
		matches(t, db, []string{"SNOW" + string(r)}, 20)
	}
	for _, word := range []string{
		"%%%", "___", `\\\`, `"""`, "S_O", "S%W", `\`, `\%`, `SNOW\`, `"SNOW"`, `"`, `""""`, "SNOW*", "^SNOW", "NAME:SNOW", "'", "''';",
		"(SNOW)", "$1", "?", "?1", ":A", "@A", "--", "/*", ";", "NEAR(A)", "OR", "AND", "NOT",
	} {
		matches(t, db, []string{"SNOW", word}, 20)
	}
}

func byNameFollowsTheRuleForWordsCutOutOfNames(t *testing.T, db store.Database) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		name := all()[random.IntN(len(all()))].Name
		var words []string
		for range 1 + random.IntN(3) {
			from := random.IntN(len(name))
			to := min(len(name), from+1+random.IntN(6))
			words = append(words, strings.Fields(name[from:to])...)
		}
		if len(words) > 0 {
			matches(t, db, words, 1+random.IntN(50))
		}
	}
}

func byRuneReturnsTheCharacterOrNone(t *testing.T, db store.Database) {
	for r, want := range map[rune][]ucd.Char{
		'☃':            {{Rune: '☃', Name: "SNOWMAN"}},
		'A':            {{Rune: 'A', Name: "LATIN CAPITAL LETTER A"}},
		0x10FFFF:       nil,
		'\u4E00':       nil,
		'\u00A0':       {{Rune: '\u00A0', Name: "NO-BREAK SPACE"}},
		utf8.RuneError: {{Rune: 0xFFFD, Name: "REPLACEMENT CHARACTER"}},
	} {
		got, err := db.ByRune(t.Context(), r)
		require.NoError(t, err)
		require.True(t, slices.Equal(want, got), "%U: %v", r, got)
	}
}

func findReturnsTheCharactersInOrder(t *testing.T, db store.Database) {
	found, err := store.Find(t.Context(), db, store.NewQuery("snowman", 20))
	require.NoError(t, err)
	require.Equal(t, []ucd.Char{
		{Rune: '☃', Name: "SNOWMAN"},
		{Rune: '⛇', Name: "BLACK SNOWMAN"},
		{Rune: '⛄', Name: "SNOWMAN WITHOUT SNOW"},
	}, found)
}

func byNameEndsWithItsContext(t *testing.T, db store.Database) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := db.ByName(ctx, []string{"SNOW"}, 20)
	require.ErrorIs(t, err, context.Canceled)
}

func byNameServesManyCallersAtOnce(t *testing.T, db store.Database) {
	want := model([]string{"SNOW"}, 20)
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range 20 {
				got, err := db.ByName(t.Context(), []string{"SNOW"}, 20)
				if err != nil || !slices.Equal(want, got) {
					t.Errorf("got %v, %v", got, err)
					return
				}
			}
		})
	}
	callers.Wait()
}

// recorder is a store.Progress that checks what it is told.
type recorder struct {
	t             *testing.T
	last, reports int
}

func (r *recorder) report(done, total int) {
	require.Greater(r.t, done, r.last)
	require.Equal(r.t, len(all()), total)
	r.last = done
	r.reports++
}

func (r *recorder) complete() {
	require.Equal(r.t, len(all()), r.last)
	require.Greater(r.t, r.reports, 10)
}
