package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/grove-go/grove/taskgroup/flight"
)

// A Load is what concurrent calls for the same key share.
type Load func(ctx context.Context) (int, error)

// A Coalesce returns what load returns, or what the load returns that runs for the same key already. The context of the
// load has the values of the call that started it, does not end with that, and has the timeout with which the
// Coalesce was made; 0 means none.
type Coalesce func(ctx context.Context, key string, load Load) (int, error)

// coalescers are Grove's and two of singleflight's. Of the two, only the first lets a caller go when its context ends.
// The second has to wait, and in turn runs the load on the first caller's goroutine. Neither can cancel a load that
// nobody waits for any more.
func coalescers() []peer[func(timeout time.Duration) Coalesce] {
	return []peer[func(timeout time.Duration) Coalesce]{
		{Grove, groveCoalesce},
		{"singleflight.DoChan", singleflightDoChan},
		{"singleflight.Do", singleflightDo},
	}
}

func groveCoalesce(timeout time.Duration) Coalesce {
	g := flight.Group[string, int]{Timeout: timeout}
	return func(ctx context.Context, key string, load Load) (int, error) {
		v, _, err := g.Do(ctx, key, load)
		return v, err
	}
}

func singleflightDoChan(timeout time.Duration) Coalesce {
	var g singleflight.Group
	return func(ctx context.Context, key string, load Load) (int, error) {
		loaded := g.DoChan(key, func() (any, error) { return load.detached(ctx, timeout) })
		select {
		case r := <-loaded:
			v, _ := r.Val.(int)
			return v, r.Err
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func singleflightDo(timeout time.Duration) Coalesce {
	var g singleflight.Group
	return func(ctx context.Context, key string, load Load) (int, error) {
		r, err, _ := g.Do(key, func() (any, error) { return load.detached(ctx, timeout) })
		v, _ := r.(int)
		return v, err
	}
}

// detached runs a load on behalf of others than its caller too.
func (l Load) detached(ctx context.Context, timeout time.Duration) (int, error) {
	ctx = context.WithoutCancel(ctx)
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return l(ctx)
}

// flightCases are loads that nobody joins, and loads of which many callers want the same one all the time or each one of
// its own.
func flightCases() []Case {
	var cases []Case
	for _, t := range tasks() {
		load := func(ctx context.Context) (int, error) { return 1000, t.task(ctx) }
		for _, timeout := range []time.Duration{0, time.Second} {
			cases = append(cases, Case{
				Name: fmt.Sprintf("flight/callers=1/timeout=%v/load=%s", timeout, t.name),
				Impls: measure(coalescers(), func(b *testing.B, group func(time.Duration) Coalesce) {
					group(timeout).bench(b, t.task, load)
				}),
				Targets: flightTargets(t.name, timeout),
			})
		}
		for _, keys := range []string{"one", "own"} {
			cases = append(cases, Case{
				Name: fmt.Sprintf("flight/callers=many/keys=%s/load=%s", keys, t.name),
				Impls: measure(coalescers(), func(b *testing.B, group func(time.Duration) Coalesce) {
					group(0).benchParallel(b, t.task, keys == "own", load)
				}),
				Targets: flightTargets(t.name, 0),
			})
		}
	}
	return cases
}

// flightTargets leave out singleflight.Do, which does less. Without a timeout, Grove's loads can be cancelled and
// singleflight's cannot: a load that does nothing else pays for that.
func flightTargets(load string, timeout time.Duration) []Target {
	if timeout == 0 && (load == "noop" || load == "done") {
		return []Target{{"singleflight.DoChan", 1.25}}
	}
	return []Target{{"singleflight.DoChan", 1.05}}
}

func (c Coalesce) bench(b *testing.B, task Task, load Load) {
	benchScope(b, task, func(ctx context.Context) error {
		_, err := c(ctx, "key", load)
		return err
	})
}

// benchParallel has 64 callers for each processor, each with a context of its own, as requests have.
func (c Coalesce) benchParallel(b *testing.B, task Task, own bool, load Load) {
	b.ReportAllocs()
	_ = task(b.Context()) // a spinning task calibrates itself in its first call
	var callers atomic.Int64
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		key := "key"
		if own {
			key = strconv.FormatInt(callers.Add(1), 10)
		}
		for pb.Next() {
			if _, err := c(ctx, key, load); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
