package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/grove-go/grove/examples/search/internal/ucd"
	"github.com/grove-go/grove/executor"
)

// PostgresConfig says where a [Postgres] is and how long its queries may take.
type PostgresConfig struct {
	// URL is a connection string as libpq takes it. Settings of the pool, such as pool_max_conns, may be among its
	// parameters.
	URL string
	// Schema holds the table, so that it meets no other; empty means grove_search.
	Schema string
	// Timeout ends a query in the server, whatever has become of its client; 0 means never.
	Timeout time.Duration
}

// tableName has the version of Unicode in it: replicas of two releases can share a schema.
var tableName = "characters_" + strings.ReplaceAll(ucd.Version, ".", "_")

// cancelGrace is how long a connection waits for the answer to a query whose context has ended. Without it the
// connection would be closed at that moment, and a burst of cancelled requests would be followed by a storm of new
// connections just when the server is slow.
var cancelGrace = 100 * time.Millisecond

// connectTimeout is how long a connection may take to come about, unless the URL has a connect_timeout. The pool would
// wait two minutes, and while it does so in all its places it serves nobody, even if the server is back.
var connectTimeout = 5 * time.Second

// Postgres is a [Database] in a PostgreSQL server. Waiting for a server costs no processor, so its connections are the
// limit. There is an executor with a worker for each in front of them only so that callers can leave while a connection
// waits for cancelGrace.
type Postgres struct {
	calls  *executor.Pool
	config *pgxpool.Config
	schema pgx.Identifier
	table  pgx.Identifier
	pool   *pgxpool.Pool
}

// NewPostgres checks the configuration. It connects to nothing before [Postgres.Start].
func NewPostgres(c PostgresConfig) (*Postgres, error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Schema == "" {
		c.Schema = "grove_search"
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "grove-search"
	}
	config.ConnConfig.RuntimeParams["statement_timeout"] = strconv.FormatInt(c.Timeout.Milliseconds(), 10)
	// The pattern decides whether the trigrams or the order of the answer is the better way in, so a plan made for
	// any pattern is of no use.
	config.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_custom_plan"
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn(), DeadlineDelay: cancelGrace}
	}
	calls, err := executor.New(executor.Config{Name: "postgres", Workers: int(config.MaxConns), Queue: executor.Unbounded})
	if err != nil {
		return nil, err
	}
	return &Postgres{
		calls:  calls,
		config: config,
		schema: pgx.Identifier{c.Schema},
		table:  pgx.Identifier{c.Schema, tableName},
	}, nil
}

// Start connects, and loads the characters unless that has been done. It reports to progress, which may be nil, how
// many of them are loaded. Replicas may start at the same time: one loads, the others wait for it. If ctx ends first,
// nothing is loaded, and the error has its cause.
func (p *Postgres) Start(ctx context.Context, progress Progress) (err error) {
	p.pool, err = pgxpool.NewWithConfig(ctx, p.config)
	if err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	// One transaction: either the table is there with all its rows and indexes, or it is not there.
	if err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error { return p.load(ctx, tx, progress) }); err != nil {
		p.Drain(ctx) //nolint:errcheck // what keeps the connections from closing is err
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err) // pgx may tell only of the connection that it has closed because of it
		}
		return fmt.Errorf("load the characters into postgres: %w", err)
	}
	return nil
}

// loadLock is the advisory lock that loaders take. One for all schemas, because they also share the extension.
const loadLock = 0x67726F7665 // "grove"

func (p *Postgres) load(ctx context.Context, tx pgx.Tx, progress Progress) error {
	// The timeout of queries is not for loading, which waits for other loaders as long as ctx allows.
	if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, loadLock); err != nil {
		return err
	}
	table := p.table.Sanitize()
	var loaded bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&loaded); err != nil || loaded {
		return err
	}
	for _, ddl := range []string{
		`CREATE EXTENSION IF NOT EXISTS pg_trgm`,
		`CREATE SCHEMA IF NOT EXISTS ` + p.schema.Sanitize(),
		// Collation "C" compares and folds ASCII alone, as names are written, wherever the server stands.
		`CREATE TABLE ` + table + ` (code integer PRIMARY KEY, name text COLLATE "C" NOT NULL)`,
	} {
		if _, err := tx.Exec(ctx, ddl); err != nil {
			return err
		}
	}
	chars, next := ucd.All(), 0
	source := pgx.CopyFromFunc(func() ([]any, error) {
		if next == len(chars) {
			return nil, nil
		}
		c := chars[next]
		next++
		progress.report(next, len(chars))
		return []any{c.Rune, c.Name}, nil
	})
	if _, err := tx.CopyFrom(ctx, p.table, []string{"code", "name"}, source); err != nil {
		return err
	}
	for _, ddl := range []string{
		`CREATE INDEX ON ` + table + ` USING gin (name gin_trgm_ops)`,
		`CREATE INDEX ON ` + table + ` (length(name), code)`,
		`ANALYZE ` + table,
	} {
		if _, err := tx.Exec(ctx, ddl); err != nil {
			return err
		}
	}
	return nil
}

// ByName implements [Database]. It waits for a connection and for the server. When ctx ends it returns at once; the
// connection waits a little longer for the server's answer, so that it can be used again.
func (p *Postgres) ByName(ctx context.Context, words []string, limit int) ([]ucd.Char, error) {
	conditions, args := make([]string, len(words)), make([]any, len(words), len(words)+1)
	for i, word := range words {
		conditions[i] = "name ILIKE $" + strconv.Itoa(i+1)
		args[i] = contains(word)
	}
	return p.query(ctx, `SELECT code, name FROM `+p.table.Sanitize()+
		` WHERE `+strings.Join(conditions, " AND ")+
		` ORDER BY length(name), code LIMIT $`+strconv.Itoa(len(words)+1), append(args, limit)...)
}

// ByRune implements [Database]. It waits as [Postgres.ByName] does.
func (p *Postgres) ByRune(ctx context.Context, r rune) ([]ucd.Char, error) {
	return p.query(ctx, `SELECT code, name FROM `+p.table.Sanitize()+` WHERE code = $1`, r)
}

func (p *Postgres) query(ctx context.Context, query string, args ...any) ([]ucd.Char, error) {
	return executor.Do(ctx, p.calls, func(ctx context.Context) ([]ucd.Char, error) {
		rows, err := p.pool.Query(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowToStructByPos[ucd.Char])
	})
}

// Drain lets running look-ups end, those that their callers have left too, refuses new ones, and closes the connections.
// When ctx ends first it returns an error, and the connections go on closing: pgx waits 15 s for a server that does not
// say that it has cancelled a query. Drain may be called again to wait for that.
func (p *Postgres) Drain(ctx context.Context) error {
	err := p.calls.Drain(ctx)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		p.pool.Close()
	}()
	select {
	case <-closed:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("close the connections to postgres: %w", context.Cause(ctx)))
	}
}
