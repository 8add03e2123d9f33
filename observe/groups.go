package observe

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/grove-go/grove/taskgroup"
)

// group is what an Observer knows about a live group beside what the tree has.
type group struct {
	name     string
	work     *work
	span     trace.Span      // nil if the parent does not record
	measured context.Context // that of measurements; nil if there is no span
	last     atomic.Int64    // when the task that ended last did, as the time since the Observer began
}

type groupKey struct{}

// groupOf is the group that ctx was made for.
func groupOf(ctx context.Context) *group {
	return ctx.Value(groupKey{}).(*group) //nolint:forcetypeassert // groupStarted has put it there
}

func (o *Observer) groupStarted(ctx context.Context, g taskgroup.GroupInfo) context.Context {
	name := title(g.Name, g.Func)
	own := &group{name: name, work: o.series.of(name)}
	own.work.groups.Add(1)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		ctx, own.span = o.tracer.Start(ctx, name, trace.WithTimestamp(g.Started), trace.WithAttributes(code(g.Func, g.File, g.Line)...))
	} else {
		ctx = trace.ContextWithSpan(ctx, span) // the same again, but nearer to those inside who look for it
	}
	own.measured = measured(own.span)
	return context.WithValue(ctx, groupKey{}, own)
}

func (o *Observer) groupEnded(ctx context.Context, g taskgroup.GroupInfo, err error) {
	own := groupOf(ctx)
	own.work.groups.Add(-1)
	now := time.Now()
	var stopping time.Duration
	if !g.Canceled.IsZero() {
		if since := own.ended(o).Sub(g.Canceled); since >= 0 {
			stopping = since
			own.work.delay.add(own.measured, stopping)
		}
	}
	o.past.add(own.name, g, err, now, stopping)
	if own.span == nil {
		return
	}
	if !g.Canceled.IsZero() && g.Cause != nil {
		own.span.AddEvent("canceled", trace.WithTimestamp(g.Canceled), trace.WithAttributes(attribute.String("grove.cause", brief(g.Cause))))
	}
	if err != nil {
		own.span.SetStatus(codes.Error, brief(err))
	}
	own.span.SetAttributes(keyOutcome.String(outcomeOf(err).String()))
	own.span.End(trace.WithTimestamp(now))
}

func (o *Observer) taskStarted(ctx context.Context, _ taskgroup.TaskInfo) {
	groupOf(ctx).work.tasks.Add(1)
}

func (o *Observer) taskEnded(ctx context.Context, t taskgroup.TaskInfo, err error, echo bool) {
	own := groupOf(ctx)
	how := outcomeOf(err)
	if echo {
		how = canceled
	}
	own.work.tasks.Add(-1)
	own.work.ended[how].Add(1)
	at := time.Since(o.began)
	own.taskEnded(at)
	took := at - t.Started.Sub(o.began)
	own.work.took[how].add(own.measured, took)
	if err != nil && !echo {
		o.taskFailed(ctx, own, &t, err, took)
	}
}

// taskEnded notes when a task has ended. They do not come in order.
func (g *group) taskEnded(at time.Duration) {
	for {
		last := g.last.Load()
		if int64(at) <= last || g.last.CompareAndSwap(last, int64(at)) {
			return
		}
	}
}

// ended is when the last task has ended: before the group has, whose owner may come for it much later.
func (g *group) ended(o *Observer) time.Time { return o.began.Add(time.Duration(g.last.Load())) }

// code are the attributes for a place in the program.
func code(function, file string, line int) []attribute.KeyValue {
	if file == "" {
		return []attribute.KeyValue{attribute.String("code.function.name", function)}
	}
	return []attribute.KeyValue{
		attribute.String("code.function.name", function),
		attribute.String("code.file.path", file),
		attribute.Int("code.line.number", line),
	}
}
