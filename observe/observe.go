package observe

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/trace"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/looplag/shed"
	"github.com/grove-go/grove/shutdown"
	"github.com/grove-go/grove/taskgroup"
)

// Config is what an [Observer] is made from. The zero Config uses OpenTelemetry's global providers and slog.Default.
type Config struct {
	// MeterProvider and TracerProvider are where metrics and spans go; nil means OpenTelemetry's global ones.
	MeterProvider  metric.MeterProvider
	TracerProvider oteltrace.TracerProvider
	// Logger is told of failures, panics, breaches and lints; nil means slog.Default.
	Logger *slog.Logger

	// Allow decides who may see the live page and use it; nil means whoever asks from the machine itself, without a
	// proxy in between and by a name of that machine.
	Allow func(*http.Request) bool
	// Actions lets the page cancel groups and take profiles and flight recordings. They are POST requests, which are
	// refused if another site makes the browser send them.
	Actions bool
	// Recorder is the program's flight recorder, which is running, if it has one: an action of the page.
	Recorder *trace.FlightRecorder
}

// An Observer watches the other packages. Make it with [New]; its methods may be called by several goroutines at once.
type Observer struct {
	cfg    Config
	tracer oteltrace.Tracer
	began  time.Time
	hooks  taskgroup.Hooks
	instruments
	told   told   // panics that have been logged
	series series // of group names
	past   past
	clock  clock
	stop   stopSpans
	panics [sources]count

	mu sync.Mutex // guards what was registered
	watched
}

// watched is what was registered.
type watched struct {
	executors []*pool
	probe     *looplag.Probe
	shedder   *shed.Shedder
	app       *shutdown.App
}

// New returns an Observer. It starts nothing. The error says which of the providers has refused which instrument.
func New(cfg Config) (*Observer, error) {
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Allow == nil {
		cfg.Allow = fromThisMachine
	}
	const scope = "github.com/grove-go/grove/observe"
	o := &Observer{cfg: cfg, tracer: cfg.TracerProvider.Tracer(scope), began: time.Now()}
	o.hooks.GroupStarted, o.hooks.GroupEnded = o.groupStarted, o.groupEnded
	o.hooks.TaskStarted, o.hooks.TaskEnded = o.taskStarted, o.taskEnded
	if err := o.instrument(cfg.MeterProvider.Meter(scope)); err != nil {
		return nil, fmt.Errorf("observe: Config.MeterProvider: %w", err)
	}
	return o, nil
}

// Context returns a context with which groups, and those inside their tasks, are observed. If they are already, it
// returns ctx; if another Observer observes them, o does so in its place. A server does it once, for all requests:
// http.Server.BaseContext.
func (o *Observer) Context(ctx context.Context) context.Context {
	return taskgroup.WithHooks(ctx, &o.hooks)
}

// Executor observes p from now on, unless it does so already. A pool of a name that was given before gets a number added
// to it. o keeps p: it is for pools that live as long as the service.
func (o *Observer) Executor(p *executor.Pool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name := title(cmp.Or(p.Stats().Name, "unnamed"), "")
	same := 1
	for _, other := range o.executors {
		if other.Pool == p {
			return
		}
		if other.given == name {
			same++
		}
	}
	added := o.newPool(p, name, same)
	o.executors = append(o.executors, added)
	p.Observe(&executor.Hooks{
		CallEnded: func(ctx context.Context, c executor.CallInfo, err error) { o.callEnded(ctx, added, &c, err) },
		CallRefused: func(ctx context.Context, c executor.CallInfo, err error) {
			added.refused[refusalOf(err)].Add(1)
		},
		CallStuck: func(ctx context.Context, c executor.CallInfo, stack []byte) { o.callStuck(ctx, added, c, stack) },
	})
}

// Probe observes p: its figures, its loops, and breaches of the zero [looplag.Rule]. It panics if there is a probe already.
func (o *Observer) Probe(p *looplag.Probe) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.probe != nil {
		panic("observe: Probe called twice")
	}
	o.probe = p
	p.OnBreach(looplag.Rule{}, o.breached)
}

// Shedder observes s: what it refuses. It panics if there is a Shedder already.
func (o *Observer) Shedder(s *shed.Shedder) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shedder != nil {
		panic("observe: Shedder called twice")
	}
	o.shedder = s
}

// App observes a, whose Run must not have been called. It panics if there is an App already.
func (o *Observer) App(a *shutdown.App) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.app != nil {
		panic("observe: App called twice")
	}
	a.Observe(&shutdown.Hooks{PhaseBegan: o.phaseBegan, PhaseEnded: o.phaseEnded, StepEnded: o.stepEnded})
	o.app = a
}

// registered returns what was registered so far.
func (o *Observer) registered() watched {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.watched
	w.executors = slices.Clip(w.executors)
	return w
}
