//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	otelruntime "go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/grove-go/grove/looplag"
)

// serverReport is what the server says of itself.
type serverReport struct {
	Snapshot         looplag.Snapshot
	Little           float64 // the run queue's length, estimated
	Cause            string
	Canary           dist // a plain ticker's lateness
	OTel, Prometheus dist // the scheduler's histograms of their collectors
}

// server serves, makes itself late and reports, until stdin ends.
func server(name string, p plan, stdin io.Reader, stdout io.Writer) error {
	i := slices.IndexFunc(storms, func(s storm) bool { return s.name == name })
	if i < 0 {
		return fmt.Errorf("no storm %q", name)
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})}
	go s.Serve(ln) //nolint:errcheck // until the process ends
	out := json.NewEncoder(stdout)
	if err := out.Encode(ln.Addr().String()); err != nil {
		return err
	}

	began := time.Now()
	time.Sleep(500 * time.Millisecond) // the client connects meanwhile
	probe := looplag.New(looplag.Config{Window: p.length, Queue: true})
	go probe.Run(context.Background()) //nolint:errcheck // until the process ends
	if start := storms[i].inside; start != nil {
		start()
	}
	time.Sleep(time.Until(began.Add(p.warm)))
	observer := looplag.New(looplag.Config{Window: p.length})
	otel, prom := newOTel(), newPrometheus()
	if err := errors.Join(otel.begin(), prom.begin()); err != nil {
		return err
	}
	report := serverReport{Canary: canary(began.Add(p.warm + p.length))}
	report.Snapshot = probe.Snapshot()
	report.Little = observer.Snapshot().RunQueue
	report.Cause = report.Snapshot.Cause.String()
	report.OTel, err = otel.end()
	if err != nil {
		return err
	}
	report.Prometheus, err = prom.end()
	if err != nil {
		return err
	}
	if err := out.Encode(report); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, stdin); err != nil { // the last requests are answered meanwhile
		return err
	}
	return nil
}

// canary is how late a ticker of 20 ms is until end.
func canary(end time.Time) dist {
	var lags []time.Duration
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for due := range ticker.C {
		lags = append(lags, time.Since(due))
		if due.After(end) {
			break
		}
	}
	return quantiles(lags)
}

// A collector is somebody's cumulative histogram of waits in seconds.
type collector struct {
	read  func() (counts []uint64, bounds []float64, err error)
	start []uint64
}

func (c *collector) begin() error {
	counts, _, err := c.read()
	c.start = slices.Clone(counts)
	return err
}

// end is the distribution since begin, its quantiles interpolated as Prometheus does it.
func (c *collector) end() (dist, error) {
	counts, bounds, err := c.read()
	if err != nil {
		return dist{}, err
	}
	counts = slices.Clone(counts)
	var total uint64
	for i := range counts {
		counts[i] -= c.start[i]
		total += counts[i]
	}
	quantile := func(q float64) float64 {
		rank, below := q*float64(total), 0.0
		for i, n := range counts {
			if n > 0 && rank <= below+float64(n) {
				low := 0.0
				if i > 0 {
					low = bounds[i-1]
				}
				if i == len(bounds) || math.IsInf(bounds[i], 1) {
					return 1000 * low
				}
				return 1000 * (low + (bounds[i]-low)*(rank-below)/float64(n))
			}
			below += float64(n)
		}
		return 0
	}
	return dist{P50: quantile(0.50), P99: quantile(0.99)}, nil
}

func newOTel() *collector {
	// The producer takes the option, but its type does not say so.
	fresh, _ := otelruntime.WithMinimumReadMemStatsInterval(time.Nanosecond).(otelruntime.ProducerOption)
	reader := metric.NewManualReader(metric.WithProducer(otelruntime.NewProducer(fresh)))
	metric.NewMeterProvider(metric.WithReader(reader))
	return &collector{read: func() ([]uint64, []float64, error) {
		var data metricdata.ResourceMetrics
		if err := reader.Collect(context.Background(), &data); err != nil {
			return nil, nil, err
		}
		for _, scope := range data.ScopeMetrics {
			for _, m := range scope.Metrics {
				if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "go.schedule.duration" {
					return h.DataPoints[0].BucketCounts, h.DataPoints[0].Bounds, nil
				}
			}
		}
		return nil, nil, errors.New("OpenTelemetry has no go.schedule.duration")
	}}
}

func newPrometheus() *collector {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
		collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile("^/sched/latencies:seconds$")})))
	return &collector{read: func() (counts []uint64, bounds []float64, err error) {
		families, err := registry.Gather()
		if err != nil {
			return nil, nil, err
		}
		for _, family := range families {
			if family.GetName() != "go_sched_latencies_seconds" {
				continue
			}
			h := family.GetMetric()[0].GetHistogram()
			var below uint64
			for _, b := range h.GetBucket() {
				counts, bounds = append(counts, b.GetCumulativeCount()-below), append(bounds, b.GetUpperBound())
				below = b.GetCumulativeCount()
			}
			return append(counts, h.GetSampleCount()-below), bounds, nil
		}
		return nil, nil, errors.New("the Prometheus client has no go_sched_latencies_seconds")
	}}
}
