package main_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/internal/servicetest"
	search "github.com/grove-go/grove/examples/search"
	"github.com/grove-go/grove/examples/search/internal/rediscache"
	"github.com/grove-go/grove/examples/search/internal/store"
)

// queries cover the ways in which the databases look for an answer.
var queries = []string{"snowman", "snow", "man snow", "a", "é", "☃", "qz", "snow a", "%", `"or"`, "latin small letter", "no such name"}

// services is the configuration of a server on Postgres and Redis, the latter behind a proxy.
func services(t *testing.T) (search.Config, *servicetest.Proxy) {
	t.Helper()
	postgres, schema := servicetest.Postgres(t)
	redis, prefix := servicetest.Redis(t)
	proxy := servicetest.NewProxy(t, servicetest.Addr(t, redis))
	return search.Config{
		Redis:    rediscache.Config{URL: "redis://" + proxy.Addr, Prefix: prefix},
		Postgres: store.PostgresConfig{URL: postgres, Schema: schema},
	}, proxy
}

func (s *server) search(t *testing.T, q string) (path, body string) {
	t.Helper()
	status, path, body := s.get(t, s.url+"/search?q="+url.QueryEscape(q))
	require.Equal(t, http.StatusOK, status, body)
	return path, body
}

func TestServerOnEmbeddedDefaults(t *testing.T) {
	s := startServer(t, search.Config{})
	path, body := s.search(t, "snowman")
	require.Equal(t, "l1 miss, db hit", path)
	var answer struct{ Results []struct{ Char, Name string } }
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Equal(t, []struct{ Char, Name string }{
		{"☃", "SNOWMAN"}, {"⛇", "BLACK SNOWMAN"}, {"⛄", "SNOWMAN WITHOUT SNOW"},
	}, answer.Results)

	path, again := s.search(t, "snowman")
	require.Equal(t, "l1 hit", path)
	require.Equal(t, body, again)

	status, _, body := s.get(t, s.url+"/search?q=")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, `"field":"q"`)
	status, _, body = s.get(t, s.url+"/")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "<title>Unicode by name</title>")

	for _, path := range []string{"/livez", "/readyz"} {
		status, _, _ = s.get(t, s.debug+path)
		require.Equal(t, http.StatusOK, status)
	}
	status, _, body = s.get(t, s.debug+"/debug/grove?format=json")
	require.Equal(t, http.StatusOK, status)
	var state struct {
		Lag       struct{ Running bool }
		Executors []struct {
			Name  string
			Ended map[string]int
		}
		Shutdown struct {
			Components []struct{ Name, State string }
		}
		Ended []struct{ Name string } `json:"ended_groups"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &state))
	require.True(t, state.Lag.Running)
	require.Equal(t, "sqlite", state.Executors[0].Name)
	require.Positive(t, state.Executors[0].Ended["ok"])
	require.NotEmpty(t, state.Shutdown.Components)
	require.NotEmpty(t, state.Ended)
	status, _, body = s.get(t, s.debug+"/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `grove_taskgroup_groups{grove_group_name="find"`)
	require.Contains(t, body, `grove_executor_queue_wait_seconds_count{grove_executor_name="sqlite"`)

	require.NoError(t, s.stop())
	_, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	require.Error(t, err)
}

func TestServerOnPostgresAndRedisAnswersLikeTheEmbeddedOne(t *testing.T) {
	config, _ := services(t)
	config.Redis.Budget = time.Minute
	embedded, first, replica := startServer(t, search.Config{}), startServer(t, config), startServer(t, config)
	want := map[string]string{}
	for _, q := range queries {
		_, want[q] = embedded.search(t, q)
		path, body := first.search(t, q)
		require.Equal(t, "l1 miss, l2 miss, db hit", path, q)
		require.Equal(t, want[q], body, q)
		path, body = first.search(t, q)
		require.Equal(t, "l1 hit", path, q)
		require.Equal(t, want[q], body, q)
	}
	require.NoError(t, first.stop()) // which finishes writing to Redis
	for _, q := range queries {
		path, body := replica.search(t, q)
		require.Equal(t, "l1 miss, l2 hit", path, q)
		require.Equal(t, want[q], body, q)
	}
	require.NoError(t, replica.stop())
	require.NoError(t, embedded.stop())
}

func TestLosingRedisWhileRunningChangesNoAnswer(t *testing.T) {
	config, proxy := services(t)
	healthy, s := startServer(t, search.Config{Postgres: config.Postgres}), startServer(t, config)
	for i, q := range queries {
		switch i {
		case 2:
			proxy.Cut()
		case 7:
			proxy.Open()
		case 9:
			proxy.Stall()
		}
		_, want := healthy.search(t, q)
		_, got := s.search(t, q)
		require.Equal(t, want, got, q)
	}
	proxy.Open()
	require.NoError(t, s.stop())
	require.NoError(t, healthy.stop())
}

func TestServerStartsWithoutRedis(t *testing.T) {
	config, _ := services(t)
	config.Redis.URL = "redis://" + servicetest.Closed(t)
	s := startServer(t, config)
	path, _ := s.search(t, "snowman")
	require.Equal(t, "l1 miss, l2 failed, db hit", path)
	require.Contains(t, s.String(), "starting without it")
	require.NoError(t, s.stop())
}

func TestAStopDoesNotWaitForAPostgresThatHangs(t *testing.T) {
	config, _ := services(t)
	u, err := url.Parse(config.Postgres.URL)
	require.NoError(t, err)
	proxy := servicetest.NewProxy(t, u.Host)
	u.Host = proxy.Addr
	config.Postgres.URL, config.Redis.URL = u.String(), ""
	s := startServer(t, config)
	proxy.Stall()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/search?q=snowman", nil)
	require.NoError(t, err)
	r.Header.Set("Request-Timeout-Ms", "100")
	resp, err := s.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusGatewayTimeout, resp.StatusCode)
	require.ErrorContains(t, s.stop(), "close the connections to postgres", "pgx gives up by itself, but later")
	proxy.Cut()
}

func TestAStopFinishesWritesInTheBackgroundAndEndsTheDebugListenerLast(t *testing.T) {
	config, proxy := services(t)
	postgres := servicetest.PostgresConn(t, config.Postgres.URL)
	config.Postgres.URL = servicetest.With(t, config.Postgres.URL, "application_name", config.Postgres.Schema)
	s := startServer(t, config)
	proxy.Stall()
	path, _ := s.search(t, "snowman")
	require.Equal(t, "l1 miss, l2 failed, db hit", path)

	s.cancel()
	for listening := true; listening; { // until the listener of users has closed
		resp, err := s.request(t, s.url)
		if listening = err == nil; listening {
			require.NoError(t, resp.Body.Close())
		}
	}
	status, _, _ := s.get(t, s.debug+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	status, _, _ = s.get(t, s.debug+"/livez")
	require.Equal(t, http.StatusOK, status)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 15 { // looks, while there is still something to write
		<-tick.C
		var connected bool
		require.NoError(t, postgres.QueryRow(t.Context(),
			`SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = $1`, config.Postgres.Schema).Scan(&connected))
		require.True(t, connected, "the database closes before the writes have ended")
	}
	proxy.Open()
	require.NoError(t, s.stop())

	redis, _ := servicetest.Redis(t)
	client := servicetest.RedisClient(t, redis)
	defer client.Close()
	keys, err := client.Do(t.Context(), client.B().Keys().Pattern(config.Redis.Prefix+"*").Build()).AsStrSlice()
	require.NoError(t, err)
	require.Len(t, keys, 1)
}
