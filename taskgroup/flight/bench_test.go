package flight_test

import (
	"context"
	"testing"
	"time"
)

// BenchmarkDo is a load that nobody joins and that takes no time.
func BenchmarkDo(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for _, bc := range []struct {
		name    string
		timeout time.Duration
	}{{"timeout=0", 0}, {"timeout=1h", time.Hour}} {
		b.Run(bc.name, func(b *testing.B) {
			g := group{Timeout: bc.timeout}
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = g.Do(ctx, "a", one)
			}
		})
	}
}

// BenchmarkJoin joins a load that runs, and leaves it at once.
func BenchmarkJoin(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	done := make(chan struct{})
	close(done)
	leaves := &ended{ctx, done}

	var g group
	started, returned := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(returned)
		_, _, _ = g.Do(ctx, "a", func(ctx context.Context) (int, error) {
			close(started)
			<-ctx.Done()
			return 0, nil
		})
	}()
	<-started
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = g.Do(leaves, "a", never)
	}
	cancel()
	<-returned
}

// ended is a context that has ended, although that shows only in its channel.
type ended struct {
	context.Context
	done <-chan struct{}
}

func (e *ended) Done() <-chan struct{} { return e.done }
