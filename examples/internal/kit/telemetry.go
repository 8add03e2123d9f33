package kit

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/shutdown"
)

// Telemetry is how a server is observed: metrics that Prometheus scrapes, and the live page.
type Telemetry struct {
	*observe.Observer
	// Metrics answers Prometheus.
	Metrics  http.Handler
	provider *metric.MeterProvider
}

// NewTelemetry makes the telemetry of a server, whose actions are allowed to those who reach the debug listener from the
// machine itself.
func NewTelemetry(log *slog.Logger) (*Telemetry, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	provider := metric.NewMeterProvider(metric.WithReader(exporter))
	o, err := observe.New(observe.Config{MeterProvider: provider, Logger: log, Actions: true})
	if err != nil {
		return nil, err
	}
	return &Telemetry{Observer: o, Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), provider: provider}, nil
}

// Component is what runs of it.
func (t *Telemetry) Component() shutdown.Component {
	return shutdown.Component{
		Name: "telemetry", Phase: shutdown.Telemetry,
		Run:  t.Run,
		Stop: func(ctx context.Context) error { return t.provider.Shutdown(ctx) },
	}
}
