package observe_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/shutdown"
)

// stubborn is a provider that refuses histograms.
type stubborn struct{ noop.MeterProvider }

func (stubborn) Meter(string, ...metric.MeterOption) metric.Meter { return refusing{} }

type refusing struct{ noop.Meter }

func (refusing) Float64Histogram(name string, _ ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return noop.Float64Histogram{}, errors.New("no histograms: " + name)
}

func TestNewSaysWhichInstrumentsWereRefused(t *testing.T) {
	_, err := observe.New(observe.Config{MeterProvider: stubborn{}})
	require.ErrorContains(t, err, "observe: Config.MeterProvider: ")
	require.ErrorContains(t, err, "grove.taskgroup.task.duration")
	require.ErrorContains(t, err, "grove.executor.queue.wait")
}

func TestPoolsOfOneNameAreToldApart(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	for _, name := range []string{"db", "", "db", "db"} {
		pool, err := executor.New(executor.Config{Name: name, Workers: 1})
		require.NoError(t, err)
		o.Executor(pool)
	}
	var names []string
	for _, e := range newSite(t, o).state().Executors {
		names = append(names, e.Name)
	}
	require.Equal(t, []string{"db", "unnamed", "db #2", "db #3"}, names)
}

func TestThereIsOneProbeAndOneApp(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	o.Probe(looplag.New(looplag.Config{}))
	require.PanicsWithValue(t, "observe: Probe called twice", func() { o.Probe(looplag.New(looplag.Config{})) })
	app, err := shutdown.New(shutdown.Config{})
	require.NoError(t, err)
	o.App(app)
	require.PanicsWithValue(t, "observe: App called twice", func() { o.App(app) })
}
