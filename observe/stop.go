package observe

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/grove-go/grove/shutdown"
	"github.com/grove-go/grove/taskgroup"
)

// stopSpans are the spans of a stop: one for all of it, below that one for each phase, and below those the steps. The last
// phase is Telemetry, in which the exporter of spans stops itself, so what belongs to it is not traced, and the whole
// ends with the phase before.
type stopSpans struct {
	mu     sync.Mutex
	whole  trace.Span
	phases map[shutdown.Phase]trace.Span
}

func (o *Observer) phaseBegan(p shutdown.PhaseInfo) {
	if p.Phase == shutdown.Telemetry {
		return
	}
	s := &o.stop
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.whole == nil {
		_, s.whole = o.tracer.Start(root, "shutdown", trace.WithTimestamp(p.Began))
		s.phases = make(map[shutdown.Phase]trace.Span)
	}
	_, s.phases[p.Phase] = o.tracer.Start(trace.ContextWithSpan(root, s.whole), "shutdown "+p.Phase.String(), trace.WithTimestamp(p.Began))
}

func (o *Observer) phaseEnded(p shutdown.PhaseInfo) {
	o.phaseDuration.Record(root, p.Took.Seconds(), metric.WithAttributes(keyPhase.String(p.Phase.String())))
	s := &o.stop
	s.mu.Lock()
	defer s.mu.Unlock()
	end := trace.WithTimestamp(p.Began.Add(p.Took))
	if span := s.phases[p.Phase]; span != nil {
		span.End(end)
		delete(s.phases, p.Phase)
	}
	if p.Phase == shutdown.Resources && s.whole != nil {
		s.whole.End(end)
	}
}

func (o *Observer) stepEnded(step shutdown.Step) {
	if step.Hook == "Run" || step.Hook == "Track" {
		return // they lasted as long as the service did, or the request
	}
	how := outcomeOf(step.Err).String()
	if step.Stuck {
		how = "stuck"
	}
	attrs := []attribute.KeyValue{
		keyComponent.String(step.Component), keyPhase.String(step.Phase.String()),
		keyHook.String(step.Hook), keyOutcome.String(how),
	}
	o.componentDuration.Record(root, step.Took.Seconds(), metric.WithAttributes(attrs...))
	o.stop.mu.Lock()
	phase := o.stop.phases[step.Phase]
	o.stop.mu.Unlock()
	if phase == nil || step.Hook == "Start" {
		return
	}
	_, span := o.tracer.Start(trace.ContextWithSpan(root, phase), step.Component+" "+step.Hook,
		trace.WithTimestamp(step.Began), trace.WithAttributes(attrs...))
	if step.Err != nil {
		p, _ := step.Err.(*taskgroup.PanicError) //nolint:errorlint // a panic further down is another's
		recordFailure(span, step.Err, p, nil)
	}
	if step.Stuck {
		span.AddEvent("stuck", trace.WithAttributes(attribute.String("code.stacktrace", string(step.Stack))))
	}
	span.End(trace.WithTimestamp(step.Began.Add(step.Took)))
}
