package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"
	"weak"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/grove-go/grove/taskgroup"
)

// taskFailed tells of the failure of a task: the span of its group in any case, since each group has its own, and the log
// unless it is one that has come up from below.
func (o *Observer) taskFailed(ctx context.Context, g *group, t *taskgroup.TaskInfo, err error, took time.Duration) {
	name := title(t.Name, t.Func)
	p, isPanic := err.(*taskgroup.PanicError) //nolint:errorlint // a panic further down is another's
	if g.span != nil {
		recordFailure(g.span, err, p, append(code(t.Func, t.File, t.Line), attribute.String("grove.task", name)))
	}
	attrs := []slog.Attr{
		slog.String("group", g.name), slog.String("task", name),
		slog.String("func", t.Func), slog.String("at", place(t.File, t.Line)), slog.Duration("after", took),
	}
	switch {
	case isPanic:
		o.panicked(ctx, inTask, p, attrs...)
	case !o.told.before(err):
		o.log(ctx, slog.LevelWarn, "task failed", append(attrs, slog.Any("error", err))...)
	}
}

// panicked tells of a panic, and counts it, unless that has been done.
func (o *Observer) panicked(ctx context.Context, where source, p *taskgroup.PanicError, attrs ...slog.Attr) {
	if isAbort(p.Value) || !o.told.first(p) {
		return
	}
	o.panics[where].Add(1)
	o.log(ctx, slog.LevelError, "panic in a "+where.String(),
		append(attrs, slog.Any("panic", p.Value), slog.String("stack", string(p.Stack)))...)
}

// isAbort reports whether the value of a panic is how a handler asks for its connection to be closed.
func isAbort(value any) bool { return value == http.ErrAbortHandler } //nolint:errorlint // as net/http compares it

// log writes a record with the trace that it belongs to. It survives a logger that panics: what is observed goes on.
func (o *Observer) log(ctx context.Context, level slog.Level, text string, attrs ...slog.Attr) {
	defer func() {
		if recover() != nil {
			o.panics[inLogger].Add(1)
		}
	}()
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	o.cfg.Logger.LogAttrs(ctx, level, text, attrs...)
}

// recordFailure adds the failure to a span as an event, by the semantic conventions for exceptions.
func recordFailure(span trace.Span, err error, p *taskgroup.PanicError, attrs []attribute.KeyValue) {
	kind, text := fmt.Sprintf("%T", err), fmt.Sprint(err) // which, unlike span.RecordError, survives errors that panic
	if p != nil {
		kind, text = fmt.Sprintf("%T", p.Value), p.Summary()
		attrs = append(attrs, attribute.String("exception.stacktrace", string(p.Stack)))
	}
	attrs = append(attrs, attribute.String("exception.type", kind), attribute.String("exception.message", text))
	span.AddEvent("exception", trace.WithAttributes(attrs...))
	span.SetStatus(codes.Error, clean(text, longestText))
}

// told remembers panics that have been logged, for as long as somebody can come with them again.
type told struct {
	mu     sync.Mutex
	panics map[weak.Pointer[taskgroup.PanicError]]struct{}
}

// first reports whether p was not logged before. The caller logs it.
func (t *told) first(p *taskgroup.PanicError) bool {
	key := weak.Make(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.panics[key]; ok {
		return false
	}
	if t.panics == nil {
		t.panics = make(map[weak.Pointer[taskgroup.PanicError]]struct{})
	}
	t.panics[key] = struct{}{}
	runtime.AddCleanup(p, t.forget, key)
	return true
}

func (t *told) forget(key weak.Pointer[taskgroup.PanicError]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.panics, key)
}

// before reports whether everything that err says was logged where it happened: in a group below. A group passes its
// failures up, and the task that it was made in returns them, as they are or wrapped.
func (t *told) before(err error) bool {
	switch e := err.(type) { //nolint:errorlint // this is the walk along the tree
	case *taskgroup.PanicError:
		t.mu.Lock()
		defer t.mu.Unlock()
		_, ok := t.panics[weak.Make(e)]
		return ok
	case *taskgroup.TaskError:
		return e.Observed || t.before(e.Err)
	case *taskgroup.Error:
		for _, task := range e.Tasks {
			if !t.before(task) && !sameAsObserved(task, e.Tasks) {
				return false
			}
		}
		return len(e.Tasks) > 0
	case interface{ Unwrap() []error }:
		parts := 0
		for _, part := range e.Unwrap() {
			if part != nil {
				if !t.before(part) {
					return false
				}
				parts++
			}
		}
		return parts > 0
	case interface{ Unwrap() error }:
		part := e.Unwrap()
		return part != nil && t.before(part)
	}
	return false
}

// sameAsObserved reports whether a body has returned nothing but what one of its tasks has failed with, which it has from
// Future.Await.
func sameAsObserved(body *taskgroup.TaskError, tasks []*taskgroup.TaskError) bool {
	for _, task := range tasks {
		if task.Observed && errors.Is(body.Err, task.Err) {
			return true
		}
	}
	return false
}
