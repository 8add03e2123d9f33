package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/grove-go/grove/examples/search/internal/ucd"
	"github.com/grove-go/grove/executor"
)

// SQLite is a [Database] in this process. It is built anew in a temporary file by [SQLite.Start], and read-only from
// then on, so its connections never wait for one another.
//
// SQLite computes on the goroutine that calls it, and database/sql opens as many connections as there are callers.
// An executor with as many workers as there are processors therefore stands in front: what exceeds them waits in a
// queue of known length instead of slowing everybody down. Clients take turns in that queue (see [WithClient]).
type SQLite struct {
	workers int
	pool    *executor.Pool
	dir     string
	db      *sql.DB
}

// NewSQLite returns a database with as many connections as workers. Nothing is opened before [SQLite.Start].
func NewSQLite(workers int) (*SQLite, error) {
	// A queue of 16 rounds keeps a burst, yet everything in it can still be answered within a request's budget.
	pool, err := executor.New(executor.Config{Name: "sqlite", Workers: workers, Queue: 16 * workers})
	if err != nil {
		return nil, err
	}
	return &SQLite{workers: workers, pool: pool}, nil
}

// Start builds the database and opens it. It reports to progress, which may be nil, how many of the characters are
// loaded. After an error or the end of ctx nothing is left behind.
func (s *SQLite) Start(ctx context.Context, progress Progress) (err error) {
	s.dir, err = os.MkdirTemp("", "grove-search-")
	if err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	file := filepath.Join(s.dir, "characters.db")
	if err := build(ctx, file, progress); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // the driver may tell no more than that the transaction is over
		}
		return errors.Join(fmt.Errorf("build the database: %w", err), os.RemoveAll(s.dir))
	}
	// immutable: the file does not change any more, so SQLite need not lock it or look whether it did.
	s.db, err = sql.Open("sqlite", "file:"+file+"?mode=ro&immutable=1")
	if err != nil {
		return errors.Join(fmt.Errorf("open the database: %w", err), os.RemoveAll(s.dir))
	}
	s.db.SetMaxOpenConns(s.workers)
	s.db.SetMaxIdleConns(s.workers)
	return nil
}

// Drain lets running and queued look-ups end, and refuses new ones. See [executor.Pool.Drain] for the end of ctx.
func (s *SQLite) Drain(ctx context.Context) error { return s.pool.Drain(ctx) }

// Close closes the database and removes its file.
func (s *SQLite) Close() error { return errors.Join(s.db.Close(), os.RemoveAll(s.dir)) }

// Pool is where look-ups run and wait.
func (s *SQLite) Pool() *executor.Pool { return s.pool }

const schema = `
CREATE TABLE characters (code INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE VIRTUAL TABLE names USING fts5 (name, content='characters', content_rowid='code', tokenize='trigram');`

// indexes are built when all rows are there, which is several times faster than row by row.
const indexes = `
INSERT INTO names (names) VALUES ('rebuild');
INSERT INTO names (names) VALUES ('optimize');
CREATE INDEX answer_order ON characters (length(name), code, name);`

// build makes the database in a new file. The journal is off: a file that is not finished is thrown away.
func build(ctx context.Context, file string, progress Progress) (err error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(off)&_pragma=synchronous(off)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return err
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO characters (code, name) VALUES (?, ?)`)
	if err != nil {
		return err
	}
	defer insert.Close() //nolint:errcheck // its transaction tells
	chars := ucd.All()
	// A statement with a context that can end costs the driver a goroutine to watch it. The transaction is watched
	// anyway: when ctx ends it is rolled back, and the next statement fails.
	for i, c := range chars {
		if _, err := insert.ExecContext(context.WithoutCancel(ctx), c.Rune, c.Name); err != nil {
			return err
		}
		progress.report(i+1, len(chars))
	}
	if _, err := tx.ExecContext(ctx, indexes); err != nil {
		return err
	}
	return tx.Commit()
}

// ByName implements [Database]. It waits for a worker. When ctx ends it returns an *executor.AbandonedError at once;
// SQLite notices within about a thousand steps of its program and frees the worker.
func (s *SQLite) ByName(ctx context.Context, words []string, limit int) ([]ucd.Char, error) {
	from, conditions, args := "characters", []string(nil), []any(nil)
	var phrases []string
	for _, word := range words {
		if len(word) >= 3 {
			phrases = append(phrases, `"`+strings.ReplaceAll(word, `"`, `""`)+`"`)
			continue
		}
		conditions = append(conditions, `characters.name LIKE ? ESCAPE '\'`)
		args = append(args, contains(word))
	}
	if len(phrases) > 0 {
		from = "names JOIN characters ON code = names.rowid"
		conditions = append(conditions, "names MATCH ?")
		args = append(args, strings.Join(phrases, " "))
	}
	return s.query(ctx, `SELECT code, characters.name FROM `+from+
		` WHERE `+strings.Join(conditions, " AND ")+
		` ORDER BY length(characters.name), code LIMIT ?`, append(args, limit)...)
}

// ByRune implements [Database]. It waits as [SQLite.ByName] does.
func (s *SQLite) ByRune(ctx context.Context, r rune) ([]ucd.Char, error) {
	return s.query(ctx, `SELECT code, name FROM characters WHERE code = ?`, r)
}

type clientKey struct{}

// WithClient returns a ctx with which SQLite looks up on behalf of a client. Clients take turns, and when the queue is full
// it makes room for those who have fewer look-ups in it, so one that sends many delays mostly itself.
func WithClient(ctx context.Context, client string) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

func (s *SQLite) query(ctx context.Context, query string, args ...any) ([]ucd.Char, error) {
	client, _ := ctx.Value(clientKey{}).(string)
	return executor.Do(ctx, s.pool, func(ctx context.Context) ([]ucd.Char, error) {
		rows, err := s.db.QueryContext(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		defer rows.Close() //nolint:errcheck // Err tells
		var found []ucd.Char
		for rows.Next() {
			var c ucd.Char
			if err := rows.Scan(&c.Rune, &c.Name); err != nil {
				return nil, err
			}
			found = append(found, c)
		}
		return found, rows.Err()
	}, executor.Key(client))
}
