package bench

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/taskgroup"
)

// observeCases are groups and calls that are observed, with OpenTelemetry's SDK behind the metrics, compared with those
// that are not ("unobserved"), with those whose hooks are there but empty ("hooks"), and with those that are traced, too
// ("traced": the parent's span records).
func observeCases() []Case {
	var cases []Case
	for _, n := range []int{1, 10, 100} {
		cases = append(cases, Case{Name: fmt.Sprintf("observe/group/n=%d", n), Impls: watchers(func(b *testing.B, ctx context.Context, _ *observe.Observer) {
			nothing := func(context.Context) error { return nil }
			for b.Loop() {
				err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
					for range n {
						g.Go(nothing)
					}
					return nil
				}, taskgroup.Name("group"))
				if err != nil {
					b.Fatal(err)
				}
			}
		})})
	}
	return append(cases, Case{Name: "observe/call", Impls: watchers(func(b *testing.B, ctx context.Context, o *observe.Observer) {
		pool, err := executor.New(executor.Config{Name: "pool", Workers: 2})
		if err != nil {
			b.Fatal(err)
		}
		defer pool.Close() //nolint:errcheck // nothing runs in it
		if o != nil {
			o.Executor(pool)
		}
		nothing := func(context.Context) (int, error) { return 0, nil }
		for b.Loop() {
			if _, err := executor.Do(ctx, pool, nothing); err != nil {
				b.Fatal(err)
			}
		}
	})})
}

// watchers are the implementations of a case of observeCases: who looks while f works with ctx. The Observer is nil if
// nobody does, or only hooks of groups do.
func watchers(f func(b *testing.B, ctx context.Context, o *observe.Observer)) []Impl {
	impl := func(name string, prepare func(ctx context.Context, o *observe.Observer) (context.Context, *observe.Observer)) Impl {
		return Impl{name, func(b *testing.B) {
			b.ReportAllocs()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			meters := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
			defer meters.Shutdown(ctx) //nolint:errcheck // the benchmark is over
			o, err := observe.New(observe.Config{MeterProvider: meters, TracerProvider: tracers(), Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			ctx, o = prepare(ctx, o)
			f(b, ctx, o)
		}}
	}
	return []Impl{
		impl(Grove, func(ctx context.Context, o *observe.Observer) (context.Context, *observe.Observer) {
			return o.Context(ctx), o
		}),
		impl("unobserved", func(ctx context.Context, _ *observe.Observer) (context.Context, *observe.Observer) { return ctx, nil }),
		impl("hooks", func(ctx context.Context, _ *observe.Observer) (context.Context, *observe.Observer) {
			return taskgroup.WithHooks(ctx, new(taskgroup.Hooks)), nil
		}),
		impl("traced", func(ctx context.Context, o *observe.Observer) (context.Context, *observe.Observer) {
			ctx, _ = tracers().Tracer("bench").Start(ctx, "parent")
			return o.Context(ctx), o
		}),
	}
}

// tracers records every span, and sends it nowhere.
func tracers() *trace.TracerProvider { return trace.NewTracerProvider() }
