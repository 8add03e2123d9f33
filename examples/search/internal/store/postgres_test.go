package store_test

import (
	"context"
	neturl "net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/internal/servicetest"
	"github.com/grove-go/grove/examples/search/internal/store"
)

func exec(t *testing.T, conn *pgx.Conn, query string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), query)
	require.NoError(t, err)
}

func TestPostgresStartLoadsOnceWhenReplicasStartAtTheSameTime(t *testing.T) {
	url, schema := servicetest.Postgres(t)
	var mu sync.Mutex
	loads := 0
	var replicas sync.WaitGroup
	for range 4 {
		replicas.Go(func() {
			db, err := store.NewPostgres(store.PostgresConfig{URL: url, Schema: schema})
			if err == nil {
				err = db.Start(t.Context(), func(done, total int) {
					if done == total {
						mu.Lock()
						loads++
						mu.Unlock()
					}
				})
			}
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Drain(t.Context()) //nolint:errcheck // it waits, since the test does
			if found, err := db.ByName(t.Context(), []string{"SNOWMAN"}, 20); err != nil || len(found) != 3 {
				t.Errorf("got %v, %v", found, err)
			}
		})
	}
	replicas.Wait()
	require.Equal(t, 1, loads)
}

func TestPostgresReportsProgressOnlyWhenItLoads(t *testing.T) {
	url, schema := servicetest.Postgres(t)
	start := func() (progress recorder) {
		progress.t = t
		db, err := store.NewPostgres(store.PostgresConfig{URL: url, Schema: schema})
		require.NoError(t, err)
		require.NoError(t, db.Start(t.Context(), progress.report))
		require.NoError(t, db.Drain(t.Context()))
		return progress
	}
	first, second := start(), start()
	first.complete()
	require.Zero(t, second.reports)
}

func TestPostgresStartLeavesNothingBehindWhenItsContextEnds(t *testing.T) {
	url, schema := servicetest.Postgres(t)
	db, err := store.NewPostgres(store.PostgresConfig{URL: url, Schema: schema})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, db.Start(ctx, func(int, int) { cancel() }), context.Canceled)

	var exists bool
	require.NoError(t, servicetest.PostgresConn(t, url).QueryRow(t.Context(),
		`SELECT count(*) > 0 FROM pg_namespace WHERE nspname = $1`, schema).Scan(&exists))
	require.False(t, exists)
	startPostgresAt(t, store.PostgresConfig{URL: url, Schema: schema})
}

func TestPostgresLetsCallersLeaveAtOnceAndKeepsTheConnection(t *testing.T) {
	url, schema := servicetest.Postgres(t)
	defer func(usual time.Duration) { *store.CancelGrace = usual }(*store.CancelGrace)
	*store.CancelGrace = time.Minute
	db := startPostgresAt(t, store.PostgresConfig{URL: servicetest.With(t, url, "pool_max_conns", "1"), Schema: schema})
	blocker := servicetest.PostgresConn(t, url)
	exec(t, blocker, "BEGIN")
	exec(t, blocker, "LOCK TABLE "+schema+"."+store.Table)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := db.Connections()
	failed := make(chan error, 1)
	go func() {
		_, err := db.ByName(ctx, []string{"SNOW"}, 20)
		failed <- err
	}()
	waitForLock(t, servicetest.PostgresConn(t, url), schema)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	exec(t, blocker, "ROLLBACK") // only now does the server answer, which is too late for a caller that waits

	_, err := db.ByName(t.Context(), []string{"SNOW"}, 20)
	require.NoError(t, err)
	require.Equal(t, before, db.Connections())
}

func TestPostgresDrainEndsWithItsContextWhenTheServerHangs(t *testing.T) {
	url, schema := servicetest.Postgres(t)
	u, err := neturl.Parse(url)
	require.NoError(t, err)
	proxy := servicetest.NewProxy(t, u.Host)
	u.Host = proxy.Addr
	db := startPostgresAt(t, store.PostgresConfig{URL: u.String(), Schema: schema})
	proxy.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = db.ByName(ctx, []string{"SNOW"}, 20)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond) // is more than cancelGrace, and less than pgx waits
	defer cancel()
	require.ErrorIs(t, db.Drain(ctx), context.DeadlineExceeded)
	proxy.Cut()
}

// waitForLock returns when a query waits for a lock on the table of schema.
func waitForLock(t *testing.T, conn *pgx.Conn, schema string) {
	t.Helper()
	for waits := false; !waits; {
		require.NoError(t, conn.QueryRow(t.Context(),
			`SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = to_regclass($1)`,
			schema+"."+store.Table).Scan(&waits))
	}
}

func TestPostgresEndsAQueryInTheServerAfterTheTimeout(t *testing.T) {
	url, schema := servicetest.Postgres(t)
	db := startPostgresAt(t, store.PostgresConfig{URL: url, Schema: schema, Timeout: time.Second}) // which is for all that is sent
	blocker := servicetest.PostgresConn(t, url)
	exec(t, blocker, "BEGIN")
	exec(t, blocker, "LOCK TABLE "+schema+"."+store.Table)
	_, err := db.ByName(t.Context(), []string{"SNOW"}, 20)
	require.ErrorContains(t, err, "statement timeout")
}

func TestPostgresStartTellsThatNobodyAnswers(t *testing.T) {
	db, err := store.NewPostgres(store.PostgresConfig{URL: "postgres://" + servicetest.Closed(t)})
	require.NoError(t, err)
	err = db.Start(t.Context(), nil)
	require.ErrorContains(t, err, "connection refused")
}

func TestPostgresStartTellsThatTheServerHangs(t *testing.T) {
	url, _ := servicetest.Postgres(t)
	u, err := neturl.Parse(url)
	require.NoError(t, err)
	proxy := servicetest.NewProxy(t, u.Host)
	proxy.Stall()
	u.Host = proxy.Addr
	defer func(usual time.Duration) { *store.ConnectTimeout = usual }(*store.ConnectTimeout)
	*store.ConnectTimeout = 50 * time.Millisecond
	db, err := store.NewPostgres(store.PostgresConfig{URL: u.String()})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.ErrorContains(t, db.Start(ctx, nil), "timeout")
	require.NoError(t, ctx.Err(), "it does not wait for as long as it is given")
}

func TestNewPostgresRefusesAURLThatItCannotRead(t *testing.T) {
	_, err := store.NewPostgres(store.PostgresConfig{URL: "postgres://u:secret@host:port"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}
