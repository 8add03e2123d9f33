package observe_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/looplag/shed"
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

func TestAPoolThatIsGivenTwiceIsObservedOnce(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	pool, err := executor.New(executor.Config{Name: "db", Workers: 1})
	require.NoError(t, err)
	for range 2 {
		o.Executor(pool)
	}
	_, err = executor.Do(t.Context(), pool, func(context.Context) (int, error) { return 1, nil })
	require.NoError(t, err)
	require.NoError(t, pool.Close())
	st := newSite(t, o).state()
	require.Len(t, st.Executors, 1)
	require.Equal(t, map[string]int{"ok": 1}, st.Executors[0].Ended)
}

func TestTheLastObserverOfAContextObserves(t *testing.T) {
	first, firstLog := newObserver(t, observe.Config{})
	second, secondLog := newObserver(t, observe.Config{})
	require.Error(t, nested(second.Context(first.Context(t.Context())), fails, asItIs))
	require.Empty(t, firstLog.records(t))
	require.Equal(t, "inner", secondLog.only(t)["group"])
}

func TestThereIsOneProbeAndOneApp(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	o.Probe(looplag.New(looplag.Config{}))
	require.PanicsWithValue(t, "observe: Probe called twice", func() { o.Probe(looplag.New(looplag.Config{})) })
	app, err := shutdown.New(shutdown.Config{})
	require.NoError(t, err)
	o.App(app)
	require.PanicsWithValue(t, "observe: App called twice", func() { o.App(app) })
	shedder := shed.New(looplag.New(looplag.Config{}), shed.Policy{})
	o.Shedder(shedder)
	require.PanicsWithValue(t, "observe: Shedder called twice", func() { o.Shedder(shedder) })
}
