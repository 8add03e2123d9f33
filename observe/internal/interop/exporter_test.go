package interop_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/taskgroup"
)

// deadExporter is an exporter whose other side has died without closing the connection: nothing returns until release.
type deadExporter struct{ called, release chan struct{} }

func (e deadExporter) stall() error {
	select {
	case e.called <- struct{}{}:
	default:
	}
	<-e.release
	return errDown
}

func (e deadExporter) Export(context.Context, *metricdata.ResourceMetrics) error { return e.stall() }
func (e deadExporter) ForceFlush(context.Context) error                          { return nil }
func (e deadExporter) Shutdown(context.Context) error                            { return nil }
func (e deadExporter) Temporality(k metric.InstrumentKind) metricdata.Temporality {
	return metric.DefaultTemporalitySelector(k)
}

func (e deadExporter) Aggregation(k metric.InstrumentKind) metric.Aggregation {
	return metric.DefaultAggregationSelector(k)
}

// deadSpans is the same for spans.
type deadSpans struct{ deadExporter }

func (e deadSpans) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return e.stall() }

func TestADeadExporterHoldsNothingUp(t *testing.T) {
	dead := deadExporter{make(chan struct{}, 1), make(chan struct{})}
	spans := deadSpans{deadExporter{make(chan struct{}, 1), dead.release}}
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(dead, metric.WithInterval(10*time.Millisecond))))
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans, sdktrace.WithBatchTimeout(10*time.Millisecond), sdktrace.WithMaxQueueSize(100)))
	o := newObserver(t, observe.Config{MeterProvider: meters, TracerProvider: tracers})
	run := func() {
		ctx, span := tracers.Tracer("test").Start(o.Context(t.Context()), "request")
		require.ErrorIs(t, taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(func(context.Context) error { return errDown })
			return nil
		}), errDown)
		span.End()
	}
	run()
	<-dead.called
	<-spans.called
	for range 1000 { // far more than the queue of spans has room for
		run()
	}
	close(dead.release)
	ctx := context.WithoutCancel(t.Context())
	require.Error(t, meters.Shutdown(ctx))
	_ = tracers.Shutdown(ctx) // which tells that the last batch was lost, or does not
}
