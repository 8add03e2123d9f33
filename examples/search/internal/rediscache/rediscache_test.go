package rediscache_test

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/examples/internal/servicetest"
	"github.com/grove-go/grove/examples/search/internal/rediscache"
)

// setup starts a cache in a real Redis behind a proxy, under a prefix of the test's own.
func setup(t *testing.T) (*rediscache.Cache, *servicetest.Proxy) {
	t.Helper()
	url, prefix := servicetest.Redis(t)
	proxy := servicetest.NewProxy(t, servicetest.Addr(t, url))
	return start(t, rediscache.Config{URL: "redis://" + proxy.Addr, Prefix: prefix, Log: slog.New(slog.DiscardHandler)}), proxy
}

func start(t *testing.T, c rediscache.Config) *rediscache.Cache {
	t.Helper()
	cache, err := rediscache.New(c)
	require.NoError(t, err)
	require.NoError(t, cache.Start(t.Context()))
	t.Cleanup(func() {
		cache.Drain(context.Background()) //nolint:errcheck // may have been drained before
		cache.Close()
	})
	return cache
}

// comesBack waits until the breaker lets a request through and Redis answers it.
func comesBack(t *testing.T, cache *rediscache.Cache) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := cache.Get(t.Context(), "any")
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)
}

func TestGetReturnsWhatSetLaterWrote(t *testing.T) {
	url, prefix := servicetest.Redis(t)
	cache := start(t, rediscache.Config{URL: url, Prefix: prefix, Budget: time.Minute})
	value, err := cache.Get(t.Context(), "key")
	require.NoError(t, err)
	require.Nil(t, value)

	cache.SetLater("key", []byte("value"))
	require.NoError(t, cache.Drain(t.Context()))
	value, err = cache.Get(t.Context(), "key")
	require.NoError(t, err)
	require.Equal(t, "value", string(value))

	client := servicetest.RedisClient(t, url)
	defer client.Close()
	ttl, err := client.Do(t.Context(), client.B().Ttl().Key(prefix+"key").Build()).AsInt64()
	require.NoError(t, err)
	require.Positive(t, ttl)
}

func TestGetFailsWhileRedisIsGoneAndComesBackWithIt(t *testing.T) {
	cache, proxy := setup(t)
	proxy.Cut()
	for range 10 {
		_, err := cache.Get(t.Context(), "key")
		require.Error(t, err)
	}
	proxy.Open()
	comesBack(t, cache)
}

func TestGetGivesUpOnARedisThatHangs(t *testing.T) {
	cache, proxy := setup(t)
	proxy.Stall()
	_, err := cache.Get(t.Context(), "key")
	var spent *deadline.Error
	require.ErrorAs(t, err, &spent)
	require.Equal(t, "redis", spent.Name)
	require.False(t, spent.Inherited)
	proxy.Open()
	comesBack(t, cache)
}

func TestRedisIsLeftAloneAfterFailuresInARow(t *testing.T) {
	defer func(usual time.Duration) { *rediscache.OpenFor = usual }(*rediscache.OpenFor)
	*rediscache.OpenFor = time.Hour
	cache, proxy := setup(t)
	proxy.Stall()
	for range 5 {
		_, err := cache.Get(t.Context(), "key")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	_, err := cache.Get(t.Context(), "key")
	require.ErrorIs(t, err, gobreaker.ErrOpenState)
	proxy.Open()
}

func TestTheEndOfARequestDoesNotCountAgainstRedis(t *testing.T) {
	url, prefix := servicetest.Redis(t)
	cache := start(t, rediscache.Config{URL: url, Prefix: prefix, Budget: time.Minute})
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := cache.Get(ctx, "key")
		require.ErrorIs(t, err, context.Canceled)
		ctx, cancel = deadline.With(t.Context(), "request", 0)
		_, err = cache.Get(ctx, "key")
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	_, err := cache.Get(t.Context(), "key")
	require.NoError(t, err)
}

// safeBuffer is a buffer that several goroutines may write to.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestStartGoesOnWithoutRedisAndFindsItLater(t *testing.T) {
	for name, lose := range map[string]func(*servicetest.Proxy){
		"gone": (*servicetest.Proxy).Cut, "hanging": (*servicetest.Proxy).Stall,
	} {
		t.Run(name, func(t *testing.T) {
			url, prefix := servicetest.Redis(t)
			proxy := servicetest.NewProxy(t, servicetest.Addr(t, url))
			lose(proxy)
			var log safeBuffer
			cache := start(t, rediscache.Config{URL: "redis://" + proxy.Addr, Prefix: prefix, Log: slog.New(slog.NewTextHandler(&log, nil))})
			require.Contains(t, log.String(), "starting without it")
			_, err := cache.Get(t.Context(), "key")
			require.Error(t, err)
			proxy.Open()
			comesBack(t, cache)
		})
	}
}

func TestSetLaterLeavesOutWritesAboveTheLimit(t *testing.T) {
	url, prefix := servicetest.Redis(t)
	proxy := servicetest.NewProxy(t, servicetest.Addr(t, url))
	cache := start(t, rediscache.Config{URL: "redis://" + proxy.Addr, Prefix: prefix, Log: slog.New(slog.DiscardHandler)})
	proxy.Stall()
	for i := range 1000 {
		cache.SetLater(strconv.Itoa(i), []byte("value"))
	}
	proxy.Open()
	require.NoError(t, cache.Drain(t.Context()))

	client := servicetest.RedisClient(t, url)
	defer client.Close()
	keys, err := client.Do(t.Context(), client.B().Keys().Pattern(prefix+"*").Build()).AsStrSlice()
	require.NoError(t, err)
	require.NotEmpty(t, keys)
	require.LessOrEqual(t, len(keys), 64)
}

func TestDrainCancelsWritesWhenItsContextEnds(t *testing.T) {
	cache, proxy := setup(t)
	proxy.Stall()
	cache.SetLater("key", []byte("value"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, cache.Drain(ctx), context.Canceled)
	proxy.Open()
}

func TestNewTakesURLsWithoutADatabase(t *testing.T) {
	for _, url := range []string{
		"redis://127.0.0.1", "redis://127.0.0.1/", "redis://user:secret@127.0.0.1:16399/", "rediss://[::1]:65535/", "unix:///run/a:b.sock",
	} {
		_, err := rediscache.New(rediscache.Config{URL: url})
		require.NoError(t, err, url)
	}
}

func TestStartTellsWhatARedisThatRefusesSays(t *testing.T) {
	url, _ := servicetest.Redis(t)
	var log safeBuffer
	start(t, rediscache.Config{URL: "redis://" + servicetest.Addr(t, url) + "/123456789", Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.Contains(t, log.String(), "redis cannot be used; starting without it")
	require.Contains(t, log.String(), "DB index is out of range")
}

func TestNewRefusesAURLThatItCannotRead(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1":                               "invalid URL scheme",
		"redis://127.0.0.1/first":                        "invalid database number",
		"redis://127.0.0.1:1?addr=127.0.0.1:2":           "want one address",
		"redis://" + strings.Repeat("%", 3) + "@nowhere": "invalid",
		"redis://user:secret@127.0.0.1:port":             "invalid port",
		"redis://user:secret@127.0.0.1:99999":            "want a port from 1 to 65535",
		"redis://127.0.0.1:0":                            "want a port from 1 to 65535",
	} {
		_, err := rediscache.New(rediscache.Config{URL: url})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret")
	}
}
