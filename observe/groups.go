package observe

import (
	"context"
	"path"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/grove-go/grove/taskgroup"
)

// group is what an Observer knows about a live group beside what the tree has.
type group struct {
	work *work
	span trace.Span // nil if the parent does not record
}

type groupKey struct{}

// groupOf is the group that ctx was made for.
func groupOf(ctx context.Context) *group {
	return ctx.Value(groupKey{}).(*group) //nolint:forcetypeassert // groupStarted has put it there
}

func (o *Observer) groupStarted(ctx context.Context, g taskgroup.GroupInfo) context.Context {
	name := title(g.Name, g.Func)
	own := &group{work: o.series.of(name)}
	own.work.groups.Add(1)
	if trace.SpanFromContext(ctx).IsRecording() {
		ctx, own.span = o.tracer.Start(ctx, name, trace.WithTimestamp(g.Started), trace.WithAttributes(code(g.Func, g.File, g.Line)...))
	}
	return context.WithValue(ctx, groupKey{}, own)
}

func (o *Observer) groupEnded(ctx context.Context, g taskgroup.GroupInfo, err error) {
	own := groupOf(ctx)
	own.work.groups.Add(-1)
	now := time.Now()
	if !g.Canceled.IsZero() {
		o.cancelLatency.Record(ctx, now.Sub(g.Canceled).Seconds(), own.work.recordNamed...)
	}
	o.past.add(g, err, now)
	if own.span == nil {
		return
	}
	if !g.Canceled.IsZero() && g.Cause != nil {
		own.span.AddEvent("canceled", trace.WithTimestamp(g.Canceled), trace.WithAttributes(attribute.String("grove.cause", g.Cause.Error())))
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
	took := time.Since(t.Started)
	o.taskDuration.Record(ctx, took.Seconds(), own.work.record[how]...)
	if err != nil && !echo {
		o.taskFailed(ctx, own.span, t, err, took)
	}
}

// title is the shortest name for a group or a task: its own, or its function with the package that it is in.
func title(name, function string) string {
	if name != "" {
		return name
	}
	return path.Base(function)
}

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

// shortPlace is a place as people recognize it: the file and the folder that it is in.
func shortPlace(at string) string {
	dir, file := path.Split(at)
	if dir == "" {
		return at
	}
	return path.Join(path.Base(dir), file)
}

// place is a place in the program as editors and terminals find it.
func place(file string, line int) string {
	if file == "" {
		return ""
	}
	return file + ":" + strconv.Itoa(line)
}
