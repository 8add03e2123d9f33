// Package rediscache is a cache in a Redis that replicas share. It never makes a request fail and never holds one up
// for long: whatever goes wrong is a miss, and a Redis that keeps going wrong is left alone for a while.
package rediscache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
	"github.com/sony/gobreaker/v2"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/taskgroup"
)

const (
	// patience is what a write may take, and how long a connection on which nothing comes back is kept. Nobody
	// waits for it but a server that is about to stop.
	patience = 5 * time.Second
	// pending is how many writes may be under way. What comes on top of them is not written.
	pending = 64
	// ttl bounds how long Redis keeps what nobody asks for; entries do not go stale.
	ttl = time.Hour

	// share is what of a request's time a look-up may take: the database has to have the rest.
	share = 0.2

	// tripAfter is after how many failures in a row Redis is left alone.
	tripAfter = 5
)

// openFor is how long Redis is left alone; then one request tries.
var openFor = time.Second

// Config says where a [Cache] is.
type Config struct {
	// URL is redis://user:password@host:port/database, or the same with rediss or unix.
	URL string
	// Prefix begins every key; empty means "grove:search:".
	Prefix string
	// Budget is what a look-up may take; 0 means 15 ms, in which a database answers, too.
	Budget time.Duration
	// Log is told when Redis fails and when it is back; nil means slog.Default.
	Log *slog.Logger
}

// Cache maps keys to values. Create it with [New].
type Cache struct {
	option  rueidis.ClientOption
	prefix  string
	budget  time.Duration
	log     *slog.Logger
	breaker *gobreaker.CircuitBreaker[[]byte]
	client  rueidis.Client
	writes  *taskgroup.Group
}

// New checks the configuration. It connects to nothing before [Cache.Start].
func New(c Config) (*Cache, error) {
	option, err := rueidis.ParseURL(strings.TrimSuffix(c.URL, "/")) // which would be an empty database number
	if wrong, ok := errors.AsType[*url.Error](err); ok {
		return nil, fmt.Errorf("redis: %w", wrong.Err) // the rest of it has the URL, and so the password
	}
	if err != nil {
		return nil, err
	}
	if len(option.InitAddress) != 1 {
		return nil, fmt.Errorf("redis: want one address, not %d", len(option.InitAddress))
	}
	if option.DialCtxFn == nil { // else it is the path of a unix socket
		_, port, _ := net.SplitHostPort(option.InitAddress[0])
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("redis: want a port from 1 to 65535, not %q", port)
		}
	}
	option.ForceSingleClient = true // also: a client that comes to life later if Redis is not there yet
	option.DisableRetry = true      // a failure is a miss
	option.DisableCache = true      // the cache within the process is another
	option.AlwaysPipelining = true  // a reply that comes too late costs its request, not the connection
	option.Dialer.Timeout = time.Second
	option.ConnWriteTimeout = patience
	if c.Prefix == "" {
		c.Prefix = "grove:search:"
	}
	if c.Budget == 0 {
		c.Budget = 15 * time.Millisecond
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	cache := &Cache{option: option, prefix: c.Prefix, budget: c.Budget, log: c.Log}
	cache.breaker = gobreaker.NewCircuitBreaker[[]byte](gobreaker.Settings{
		Timeout:     openFor,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= tripAfter },
		IsExcluded:  callerEnded,
		OnStateChange: func(_ string, from, to gobreaker.State) {
			c.Log.Warn("redis breaker", "from", from.String(), "to", to.String())
		},
	})
	return cache, nil
}

// callerEnded tells failures of the request from failures of Redis, which alone count against it.
func callerEnded(err error) bool {
	spent, timeout := errors.AsType[*deadline.Error](err)
	return timeout && spent.Inherited || errors.Is(err, context.Canceled)
}

// Start connects. A Redis that does not answer, or refuses, is logged and tried again with every request that the breaker lets
// through: a server that can do without its cache should also start without it.
func (c *Cache) Start(ctx context.Context) error {
	client, err := rueidis.NewClient(c.option)
	if client == nil {
		return fmt.Errorf("redis: %w", err)
	}
	if err != nil {
		c.log.Warn("redis cannot be used; starting without it", "error", err)
	}
	c.client = client
	c.writes = taskgroup.New(context.WithoutCancel(ctx), taskgroup.Name("write-back"), taskgroup.Limit(pending))
	return nil
}

// Get returns the value of key, or nil if there is none. It takes no longer than Config.Budget, and no more than a fifth of
// the time that ctx has left. An error means that Redis was not asked or did not answer well, which for the caller is no
// more than a miss.
func (c *Cache) Get(ctx context.Context, key string) ([]byte, error) {
	return c.breaker.Execute(func() ([]byte, error) {
		ctx, cancel := deadline.Share(ctx, "cache", share)
		defer cancel()
		return deadline.Do(ctx, "redis", c.budget, func(ctx context.Context) ([]byte, error) {
			value, err := c.client.Do(ctx, c.client.B().Get().Key(c.prefix+key).Build()).AsBytes()
			if rueidis.IsRedisNil(err) {
				return nil, nil
			}
			return value, err
		})
	})
}

// SetLater writes value in the background and returns at once. The write belongs to the cache and not to the request
// that it comes from, so it outlives the latter; [Cache.Drain] waits for it. It is left out when too many are under
// way. The caller must not change value any more.
func (c *Cache) SetLater(key string, value []byte) {
	c.writes.TryGo(func(ctx context.Context) error {
		c.breaker.Execute(func() ([]byte, error) { //nolint:errcheck // counted; Redis just does not have the value
			return deadline.Do(ctx, "redis", patience, func(ctx context.Context) ([]byte, error) {
				set := c.client.B().Set().Key(c.prefix + key).Value(rueidis.BinaryString(value)).Ex(ttl).Build()
				return nil, c.client.Do(ctx, set).Error()
			})
		})
		return nil
	})
}

// Drain waits for the writes under way. When ctx ends they are cancelled. SetLater must not be called any more.
func (c *Cache) Drain(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { c.writes.Cancel(context.Cause(ctx)) })()
	return c.writes.Wait()
}

// Close closes the connections.
func (c *Cache) Close() { c.client.Close() }
