package interop_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/taskgroup"
)

// row is an instrument as the table in the docs has it.
func row(m metricdata.Metrics) string {
	var kind string
	keys := map[attribute.Key]bool{}
	note := func(set attribute.Set) {
		for _, kv := range set.ToSlice() {
			keys[kv.Key] = true
		}
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		kind = "up-down counter"
		if data.IsMonotonic {
			kind = "counter"
		}
		for _, p := range data.DataPoints {
			note(p.Attributes)
		}
	case metricdata.Sum[float64]:
		kind = "up-down counter"
		if data.IsMonotonic {
			kind = "counter"
		}
		for _, p := range data.DataPoints {
			note(p.Attributes)
		}
	case metricdata.Gauge[int64]:
		kind = "gauge"
		for _, p := range data.DataPoints {
			note(p.Attributes)
		}
	case metricdata.Gauge[float64]:
		kind = "gauge"
		for _, p := range data.DataPoints {
			note(p.Attributes)
		}
	case metricdata.Histogram[float64]:
		kind = "histogram"
		for _, p := range data.DataPoints {
			note(p.Attributes)
		}
	default:
		kind = fmt.Sprintf("%T", data)
	}
	var attributes []string
	for _, k := range slices.SortedFunc(maps.Keys(keys), cmp.Compare[attribute.Key]) {
		attributes = append(attributes, "`"+string(k)+"`")
	}
	return fmt.Sprintf("| `%s` | %s | `%s` | %s | %s |", m.Name, kind, m.Unit, strings.Join(attributes, ", "), m.Description)
}

func TestEveryInstrumentStandsInTheDocs(t *testing.T) {
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	o := newObserver(t, observe.Config{MeterProvider: provider})
	history(t, o)
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	require.NoError(t, provider.Shutdown(t.Context()))
	require.Len(t, got.ScopeMetrics, 1)
	require.Equal(t, "github.com/grove-go/grove/observe", got.ScopeMetrics[0].Scope.Name)
	var rows []string
	for _, m := range got.ScopeMetrics[0].Metrics {
		rows = append(rows, row(m))
	}
	slices.Sort(rows)
	require.Equal(t, strings.Join(documented(t), "\n"), strings.Join(rows, "\n"))
}

// documented are the rows of the table in the docs.
func documented(t *testing.T) (rows []string) {
	t.Helper()
	docs, err := os.ReadFile("../../../docs/observe.md")
	require.NoError(t, err)
	for line := range strings.Lines(string(docs)) {
		if strings.HasPrefix(line, "| `grove.") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	slices.Sort(rows)
	return rows
}

// scraped is the beginning of what Prometheus is told about the instrument of a row.
func scraped(row string) string {
	cells := strings.Split(row, "|")
	kind, unit := strings.TrimSpace(cells[2]), strings.Trim(cells[3], " `")
	name := strings.ReplaceAll(strings.Trim(cells[1], " `"), ".", "_")
	if unit == "s" {
		name += "_seconds"
	}
	if unit == "1" && !strings.HasSuffix(name, "_ratio") {
		name += "_ratio"
	}
	switch kind {
	case "counter":
		name += "_total"
	case "up-down counter":
		kind = "gauge"
	}
	return fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n%s", name, strings.TrimSpace(cells[5]), name, kind, name)
}

func TestPrometheusScrapesTheMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	require.NoError(t, err)
	provider := metric.NewMeterProvider(metric.WithReader(exporter))
	o := newObserver(t, observe.Config{MeterProvider: provider})
	history(t, o)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	resp, err := server.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(body))
	require.NoError(t, provider.Shutdown(t.Context()))
	for _, series := range []string{
		`grove_taskgroup_tasks_total{grove_group_name="page",grove_outcome="error",`,
		`grove_taskgroup_tasks_total{grove_group_name="page",grove_outcome="canceled",`,
		`grove_taskgroup_cancel_latency_seconds_count{grove_group_name="page",`,
		`grove_executor_abandoned{grove_executor_name="db",`,
		`grove_executor_rejected_total{grove_executor_name="db",grove_reason="queue_full",`,
		`grove_executor_queue_wait_seconds_bucket{grove_executor_name="db",`,
		`grove_looplag_delay_p99_seconds{grove_probe="net",`,
		`grove_looplag_throttled_ratio{`,
		`grove_shutdown_component_duration_seconds_sum{grove_component="cache",grove_hook="Stop",grove_outcome="ok",grove_phase="Resources",`,
		`grove_panics_total{grove_source="task",`,
		`grove_lints{grove_lint="abandoned",`,
	} {
		require.Contains(t, string(body), series)
	}
	for _, row := range documented(t) {
		require.Contains(t, string(body), scraped(row))
	}
}

func TestTheLatencyOfACancellationEndsWithTheLastTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := metric.NewManualReader()
		provider := metric.NewMeterProvider(metric.WithReader(reader))
		o := newObserver(t, observe.Config{MeterProvider: provider})
		g := taskgroup.New(o.Context(t.Context()), taskgroup.Name("import"))
		g.Go(func(context.Context) error { time.Sleep(3 * time.Second); return nil })
		g.Go(untilDone)
		time.Sleep(time.Second)
		g.Cancel(nil)
		time.Sleep(time.Minute) // its owner comes late
		require.NoError(t, g.Wait())
		idle := taskgroup.New(o.Context(t.Context()), taskgroup.Name("import"))
		idle.Go(func(context.Context) error { return nil })
		time.Sleep(time.Minute)
		require.NoError(t, idle.Stop(), "nothing ran any more: there is no latency to measure")
		var got metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &got))
		require.NoError(t, provider.Shutdown(t.Context()))
		for _, m := range got.ScopeMetrics[0].Metrics {
			if m.Name == "grove.taskgroup.cancel.latency" {
				points := m.Data.(metricdata.Histogram[float64]).DataPoints //nolint:forcetypeassert // the docs say so
				require.Len(t, points, 1)
				require.Equal(t, uint64(1), points[0].Count)
				require.InDelta(t, 2, points[0].Sum, 1e-9)
				return
			}
		}
		require.Fail(t, "it was not recorded")
	})
}

func TestACollectionHasAllDurations(t *testing.T) {
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	o := newObserver(t, observe.Config{MeterProvider: provider})
	total := 0
	for _, more := range []int{1, 2, 127, 128, 300} {
		_, err := taskgroup.Map(o.Context(t.Context()), 4, make([]int, more), func(context.Context, int) (int, error) { return 0, nil })
		require.NoError(t, err)
		total += more
		var got metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &got))
		counted := uint64(0)
		for _, m := range got.ScopeMetrics[0].Metrics {
			if m.Name == "grove.taskgroup.task.duration" {
				for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints { //nolint:forcetypeassert // the docs say so
					counted += p.Count
				}
			}
		}
		require.Equal(t, uint64(total), counted)
	}
	require.NoError(t, provider.Shutdown(t.Context()))
}

// broken is a handler of logs that panics.
type broken struct{ slog.Handler }

func (broken) Enabled(context.Context, slog.Level) bool  { return true }
func (broken) Handle(context.Context, slog.Record) error { panic("logger") }

func TestPanicsOfTheLoggerAreCounted(t *testing.T) {
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	o, err := observe.New(observe.Config{MeterProvider: provider, Logger: slog.New(broken{})})
	require.NoError(t, err)
	g := taskgroup.New(o.Context(t.Context()), taskgroup.KeepGoing())
	g.Go(func(context.Context) error { return errDown })
	g.Go(func(context.Context) error { return errDown })
	require.ErrorIs(t, g.Wait(), errDown)
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	require.NoError(t, provider.Shutdown(t.Context()))
	counts := make(map[string]int64)
	for _, m := range got.ScopeMetrics[0].Metrics {
		if m.Name == "grove.panics" {
			for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints { //nolint:forcetypeassert // the docs say so
				source, _ := p.Attributes.Value("grove.source")
				counts[source.AsString()] = p.Value
			}
		}
	}
	require.Equal(t, map[string]int64{"task": 0, "call": 0, "handler": 0, "logger": 2}, counts)
}

func TestNamesFromUsersBreakNoScrape(t *testing.T) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	require.NoError(t, err)
	provider := metric.NewMeterProvider(metric.WithReader(exporter))
	o := newObserver(t, observe.Config{MeterProvider: provider})
	probe := looplag.New(looplag.Config{})
	o.Probe(probe)
	for _, name := range []string{"bad \xff bytes", "two\nlines", strings.Repeat("long", 1<<18)} {
		runNamed(t, o, name)
		defer probe.Watch(name, time.Minute).Close()
		defer probe.Watch(name, time.Minute).Close() // which is counted with the other
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}).
		ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	require.NoError(t, provider.Shutdown(t.Context()))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Contains(t, w.Body.String(), "grove_taskgroup_tasks_total{grove_group_name=\"bad \ufffd bytes\",grove_outcome=\"ok\"")
	require.Contains(t, w.Body.String(), "grove_looplag_loop_turns_total{grove_loop_name=\"two lines\"")
	require.Less(t, w.Body.Len(), 64<<10)
}

func TestNamesThatAreMadeUpDoNotFillTheMemory(t *testing.T) {
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	o := newObserver(t, observe.Config{MeterProvider: provider})
	for i := range 1000 {
		runNamed(t, o, fmt.Sprint("user-", i))
	}
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	require.NoError(t, provider.Shutdown(t.Context()))
	for _, m := range got.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "grove.taskgroup.tasks" {
			require.Len(t, sum.DataPoints, 201)
			total := int64(0)
			for _, p := range sum.DataPoints {
				total += p.Value
			}
			require.Equal(t, int64(1000), total)
			return
		}
	}
	require.Fail(t, "no tasks were counted")
}
