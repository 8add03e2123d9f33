package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/shutdown"
	"github.com/grove-go/grove/taskgroup"
)

// tracing is a TracerProvider whose spans tests read.
type tracing struct {
	*sdktrace.TracerProvider
	recorder *tracetest.SpanRecorder
}

func newTracing(t *testing.T) tracing {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	p := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(context.WithoutCancel(t.Context()))) })
	return tracing{p, recorder}
}

// span returns the one span of that name that has ended.
func (tr tracing) span(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	var found []sdktrace.ReadOnlySpan
	var names []string
	for _, s := range tr.recorder.Ended() {
		names = append(names, s.Name())
		if s.Name() == name {
			found = append(found, s)
		}
	}
	require.Len(t, found, 1, "%s among %v", name, names)
	return found[0]
}

func requireParent(t *testing.T, child, parent sdktrace.ReadOnlySpan) {
	t.Helper()
	require.Equal(t, parent.SpanContext().SpanID(), child.Parent().SpanID(), "%s is below %s", child.Name(), parent.Name())
}

func attributeOf(attrs []attribute.KeyValue, key string) string {
	for _, kv := range attrs {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

// journal is a log that tests read when what writes to it is over.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// service is a server that observes itself, and a client that carries traces on.
func service(t *testing.T, name string, tr tracing, log io.Writer, h func(o *observe.Observer, c *http.Client) http.HandlerFunc) string {
	t.Helper()
	o, err := observe.New(observe.Config{TracerProvider: tr, Logger: slog.New(slog.NewJSONHandler(log, nil))})
	require.NoError(t, err)
	opts := slices.Clip([]otelhttp.Option{otelhttp.WithTracerProvider(tr), otelhttp.WithPropagators(propagation.TraceContext{})})
	named := func(what string) []otelhttp.Option {
		return append(opts, otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return name + what }))
	}
	base := new(http.Transport)
	client := &http.Client{Transport: otelhttp.NewTransport(base, named(" calls")...)}
	server := httptest.NewServer(otelhttp.NewHandler(o.Recover(h(o, client)), name, named(" serves")...))
	t.Cleanup(func() { server.Close(); base.CloseIdleConnections() })
	return server.URL
}

// get asks url and fails unless it is answered with 200.
func get(ctx context.Context, c *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

func TestARequestIsFollowedThroughThreeServices(t *testing.T) {
	tr := newTracing(t)
	log := new(journal)
	pool, err := executor.New(executor.Config{Name: "pool", Workers: 1})
	require.NoError(t, err)

	last := service(t, "last", tr, log, func(*observe.Observer, *http.Client) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			err := taskgroup.Run(r.Context(), func(_ context.Context, g *taskgroup.Group) error {
				g.Start(taskgroup.Task{Name: "query", Func: func(context.Context) error { return errDown }})
				g.Go(untilDone)
				return nil
			}, taskgroup.Name("last work"))
			if err != nil {
				http.Error(w, "failed", http.StatusBadGateway)
			}
		}
	})
	middle := service(t, "middle", tr, log, func(o *observe.Observer, c *http.Client) http.HandlerFunc {
		o.Executor(pool)
		return func(w http.ResponseWriter, r *http.Request) {
			_, err := executor.Do(r.Context(), pool, func(ctx context.Context) (int, error) { return 0, get(ctx, c, last) }, executor.Name("ask"))
			if err != nil {
				http.Error(w, "failed", http.StatusBadGateway)
			}
		}
	})
	first := service(t, "first", tr, log, func(_ *observe.Observer, c *http.Client) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			err := taskgroup.Run(r.Context(), func(_ context.Context, g *taskgroup.Group) error {
				g.Go(func(ctx context.Context) error { return get(ctx, c, middle) })
				return nil
			}, taskgroup.Name("first work"))
			if err != nil {
				http.Error(w, "failed", http.StatusBadGateway)
			}
		}
	})
	require.Error(t, get(t.Context(), http.DefaultClient, first))
	http.DefaultClient.CloseIdleConnections()
	require.NoError(t, pool.Close())
	// A server ends its span when its answer is out.
	require.Eventually(t, func() bool { return len(tr.recorder.Ended()) == 8 }, 5*time.Second, 10*time.Millisecond)

	trace := tr.span(t, "first serves").SpanContext().TraceID()
	for _, s := range tr.recorder.Ended() {
		require.Equal(t, trace, s.SpanContext().TraceID(), s.Name())
	}
	requireParent(t, tr.span(t, "first work"), tr.span(t, "first serves"))
	requireParent(t, tr.span(t, "first calls"), tr.span(t, "first work"))
	requireParent(t, tr.span(t, "middle serves"), tr.span(t, "first calls"))
	requireParent(t, tr.span(t, "middle calls"), tr.span(t, "middle serves"))
	requireParent(t, tr.span(t, "pool ask"), tr.span(t, "middle serves"))
	requireParent(t, tr.span(t, "last serves"), tr.span(t, "middle calls"))
	requireParent(t, tr.span(t, "last work"), tr.span(t, "last serves"))

	work := tr.span(t, "last work")
	require.Equal(t, codes.Error, work.Status().Code)
	require.Equal(t, "error", attributeOf(work.Attributes(), "grove.outcome"))
	require.Contains(t, attributeOf(work.Attributes(), "code.function.name"), "TestARequestIsFollowed")
	require.Contains(t, attributeOf(work.Attributes(), "code.file.path"), "traces_test.go")
	require.Len(t, work.Events(), 2)
	failure, cancel := work.Events()[0], work.Events()[1]
	require.Equal(t, "exception", failure.Name)
	require.Equal(t, "query", attributeOf(failure.Attributes, "grove.task"))
	require.Equal(t, "connection refused", attributeOf(failure.Attributes, "exception.message"))
	require.Equal(t, "canceled", cancel.Name)
	require.Equal(t, "last work canceled: connection refused", attributeOf(cancel.Attributes, "grove.cause"))

	call := tr.span(t, "pool ask")
	require.Equal(t, "error", attributeOf(call.Attributes(), "grove.outcome"))
	require.Equal(t, "started", call.Events()[0].Name)
	require.False(t, call.Events()[0].Time.Before(call.StartTime()))

	var record struct {
		TraceID string `json:"trace_id"`
		SpanID  string `json:"span_id"`
		Task    string
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	require.NoError(t, json.NewDecoder(&log.text).Decode(&record), "the first of two: the other is that of the service above")
	require.Equal(t, "query", record.Task)
	require.Equal(t, trace.String(), record.TraceID)
	require.Equal(t, work.SpanContext().SpanID().String(), record.SpanID)
}

func TestAGroupHasNoSpanUnlessItsParentRecords(t *testing.T) {
	tr := newTracing(t)
	o := newObserver(t, observe.Config{TracerProvider: tr})
	runNamed(t, o, "untraced")
	require.Empty(t, tr.recorder.Started())
}

func TestAPanicIsAnEventWithItsStack(t *testing.T) {
	tr := newTracing(t)
	o := newObserver(t, observe.Config{TracerProvider: tr})
	ctx, parent := tr.Tracer("test").Start(o.Context(t.Context()), "parent")
	require.Panics(t, func() {
		_ = taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(func(context.Context) error { panic("boom") })
			return nil
		}, taskgroup.Name("fragile"))
	})
	parent.End()
	s := tr.span(t, "fragile")
	require.Equal(t, "panic", attributeOf(s.Attributes(), "grove.outcome"))
	require.Contains(t, attributeOf(s.Events()[0].Attributes, "exception.stacktrace"), "TestAPanicIsAnEventWithItsStack")
	require.Contains(t, attributeOf(s.Events()[0].Attributes, "exception.message"), "boom")
}

func TestTheStepsOfAStopAreSpans(t *testing.T) {
	tr := newTracing(t)
	o := newObserver(t, observe.Config{TracerProvider: tr})
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	o.App(app)
	nothing := func(context.Context) error { return nil }
	app.Add(
		shutdown.Component{Name: "queue", Phase: shutdown.Work, Start: nothing, Run: nothing, Stop: nothing},
		shutdown.Component{Name: "db", Stop: func(context.Context) error { return errDown }},
		shutdown.Component{Name: "exporter", Phase: shutdown.Telemetry, Stop: nothing},
	)
	require.Error(t, app.Run(t.Context()))
	whole := tr.span(t, "shutdown")
	require.False(t, whole.Parent().IsValid())
	requireParent(t, tr.span(t, "shutdown Work"), whole)
	requireParent(t, tr.span(t, "queue Stop"), tr.span(t, "shutdown Work"))
	requireParent(t, tr.span(t, "db Stop"), tr.span(t, "shutdown Resources"))
	require.Equal(t, codes.Error, tr.span(t, "db Stop").Status().Code)
	require.Len(t, tr.recorder.Ended(), 8, "the whole, five phases and two steps: the exporter's own is too late")
	require.Len(t, tr.recorder.Started(), 8)
}

var errLater = errors.New("later")

func TestAChildOfATaskIsBelowTheSpanOfItsGroup(t *testing.T) {
	tr := newTracing(t)
	o := newObserver(t, observe.Config{TracerProvider: tr})
	ctx, parent := tr.Tracer("test").Start(o.Context(t.Context()), "parent")
	require.ErrorIs(t, taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		g.Go(func(ctx context.Context) error {
			return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Go(func(context.Context) error { return errLater })
				return nil
			}, taskgroup.Name("inner"))
		})
		return nil
	}, taskgroup.Name("outer")), errLater)
	parent.End()
	requireParent(t, tr.span(t, "inner"), tr.span(t, "outer"))
	requireParent(t, tr.span(t, "outer"), parent.(sdktrace.ReadOnlySpan)) //nolint:forcetypeassert // the SDK's are
	require.Equal(t, codes.Error, tr.span(t, "outer").Status().Code)
}
