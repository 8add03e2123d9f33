// Package servicetest gives tests the real services that the examples can use, each test a corner of its own.
//
// A service is looked for where GROVE_POSTGRES or GROVE_REDIS says, else at its usual port on this machine. A test
// that needs one which does not answer is skipped, with the reason, but fails when CI=true.
package servicetest

import (
	"context"
	"crypto/rand"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// Postgres returns the URL of a server and the name of a schema that does not exist yet. The schema is dropped when the
// test has ended.
func Postgres(t testing.TB) (server, schema string) {
	t.Helper()
	server = at("GROVE_POSTGRES", "postgres://postgres@127.0.0.1:5432/postgres")
	PostgresConn(t, server)
	schema = "test_" + unique()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context()) // which has ended
		_, err := PostgresConn(t, server).Exec(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE")
		require.NoError(t, err)
	})
	return server, schema
}

// PostgresConn connects to a server. The connection is closed when the test has ended.
func PostgresConn(t testing.TB, server string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		missing(t, "Postgres", err)
	}
	t.Cleanup(func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) })
	return conn
}

// With returns the URL of a server with another parameter.
func With(t testing.TB, server, name, value string) string {
	t.Helper()
	u, err := url.Parse(server)
	require.NoError(t, err)
	params := u.Query()
	params.Set(name, value)
	u.RawQuery = params.Encode()
	return u.String()
}

// Redis returns the URL of a server and a prefix that no key has yet. Keys that have it are deleted when the test has
// ended.
func Redis(t testing.TB) (server, prefix string) {
	t.Helper()
	server = at("GROVE_REDIS", "redis://127.0.0.1:6379")
	client := RedisClient(t, server)
	prefix = "test:" + unique() + ":"
	t.Cleanup(func() {
		defer client.Close()
		ctx := context.WithoutCancel(t.Context()) // which has ended
		keys, err := client.Do(ctx, client.B().Keys().Pattern(prefix+"*").Build()).AsStrSlice()
		require.NoError(t, err)
		if len(keys) > 0 {
			require.NoError(t, client.Do(ctx, client.B().Del().Key(keys...).Build()).Error())
		}
	})
	return server, prefix
}

// RedisClient connects to a server. The caller closes the client.
func RedisClient(t testing.TB, server string) rueidis.Client {
	t.Helper()
	option, err := rueidis.ParseURL(server)
	require.NoError(t, err)
	option.ForceSingleClient, option.DisableCache = true, true
	client, err := rueidis.NewClient(option)
	if err != nil {
		client.Close()
		missing(t, "Redis", err)
	}
	return client
}

// Addr returns host:port of a server's URL.
func Addr(t testing.TB, server string) string {
	t.Helper()
	option, err := rueidis.ParseURL(server)
	require.NoError(t, err)
	return option.InitAddress[0]
}

// Closed returns an address of this machine where nobody listens.
func Closed(t testing.TB) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

func at(env, usual string) string {
	if server := os.Getenv(env); server != "" {
		return server
	}
	return usual
}

func missing(t testing.TB, service string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s does not answer: %v", service, err)
	}
	t.Skipf("%s does not answer: %v", service, err)
}

func unique() string { return strings.ToLower(rand.Text()) }
