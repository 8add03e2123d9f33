package taskgroup_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/grove-go/grove/taskgroup"
)

// benchmarkRun measures a group of n tasks from its making to its end.
func benchmarkRun(b *testing.B, task func(context.Context) error, opts ...taskgroup.Option) {
	b.Helper()
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("tasks=", n), func(b *testing.B) {
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				_ = taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
					for range n {
						g.Go(task)
					}
					return nil
				}, opts...)
			}
		})
	}
}

func BenchmarkRun(b *testing.B) {
	benchmarkRun(b, func(context.Context) error { return nil })
}

func BenchmarkRunThatAsksForDone(b *testing.B) {
	benchmarkRun(b, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		default:
			return nil
		}
	})
}

func BenchmarkRunThatFails(b *testing.B) {
	benchmarkRun(b, func(context.Context) error { return errA })
}

func BenchmarkRunThatFailsUnderKeepGoing(b *testing.B) {
	benchmarkRun(b, func(context.Context) error { return errA }, taskgroup.KeepGoing())
}

func BenchmarkRunLimited(b *testing.B) {
	benchmarkRun(b, func(context.Context) error { return nil }, taskgroup.Limit(4))
}

// BenchmarkGo is one task in a group that lives on.
func BenchmarkGo(b *testing.B) {
	g := taskgroup.New(b.Context(), taskgroup.Limit(1))
	ended := make(chan struct{})
	task := func(context.Context) error {
		ended <- struct{}{}
		return nil
	}
	b.ReportAllocs()
	for b.Loop() {
		g.Go(task)
		<-ended
	}
	_ = g.Stop()
}

func BenchmarkStartNamed(b *testing.B) {
	g := taskgroup.New(b.Context(), taskgroup.Limit(1))
	ended := make(chan struct{})
	t := taskgroup.Task{Name: "named", Func: func(context.Context) error {
		ended <- struct{}{}
		return nil
	}}
	b.ReportAllocs()
	for b.Loop() {
		g.Start(t)
		<-ended
	}
	_ = g.Stop()
}

// BenchmarkPanic is a task's panic, taken by the owner.
func BenchmarkPanic(b *testing.B) {
	ctx := b.Context()
	task := func(context.Context) error { panic("boom") }
	b.ReportAllocs()
	for b.Loop() {
		func() {
			defer func() { _ = recover() }()
			_ = taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Go(task)
				return nil
			})
		}()
	}
}
