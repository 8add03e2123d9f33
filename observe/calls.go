package observe

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/taskgroup"
)

// pool is an executor that was registered.
type pool struct {
	*executor.Pool
	given, name string // as it was made, and so that no other has it
	*work
	refused [refusals]count
	reason  [refusals]metric.MeasurementOption
}

func (o *Observer) newPool(p *executor.Pool, given string, same int) *pool {
	name := given
	if same > 1 {
		name += " #" + strconv.Itoa(same)
	}
	added := &pool{Pool: p, given: given, name: name, work: newWork(keyExecutor, name, o.runDuration, o.queueWait)}
	for i := range added.reason {
		added.reason[i] = metric.WithAttributeSet(attribute.NewSet(
			keyExecutor.String(name), keyReason.String(refusal(i).String())))
	}
	return added
}

func (o *Observer) callEnded(ctx context.Context, p *pool, c *executor.CallInfo, err error) {
	how := outcomeOf(err)
	p.ended[how].Add(1)
	span := recording(ctx)
	short := measured(span)
	p.delay.add(short, c.Wait)
	p.took[how].add(short, c.Run)
	if span != nil {
		o.callSpan(ctx, p, c, err)
	}
	if panicked, ok := err.(*taskgroup.PanicError); ok { //nolint:errorlint // a panic further down is another's
		o.callPanicked(ctx, p, c, panicked)
	}
}

func (o *Observer) callPanicked(ctx context.Context, p *pool, c *executor.CallInfo, panicked *taskgroup.PanicError) {
	o.panicked(ctx, inCall, panicked, slog.String("executor", p.name), slog.String("call", title(c.Name, "")), slog.Duration("after", c.Run))
}

// callStuck tells of a call that has been running for longer than its pool thinks it should.
func (o *Observer) callStuck(ctx context.Context, p *pool, c executor.CallInfo, stack []byte) {
	o.log(ctx, slog.LevelWarn, "call stuck", slog.String("executor", p.name), slog.String("call", title(c.Name, "")),
		slog.Duration("after", c.Run), slog.String("stack", string(stack)))
}

// callSpan records a call as a span that begins when the call came, with an event when it was started. It is made when
// the call has ended, so what the call has recorded stands beside it, below the same parent.
func (o *Observer) callSpan(ctx context.Context, p *pool, c *executor.CallInfo, err error) {
	ended := time.Now()
	started := ended.Add(-c.Run)
	_, span := o.tracer.Start(ctx, p.name+" "+title("", clean(c.Name, longestName)), trace.WithTimestamp(started.Add(-c.Wait)), trace.WithAttributes(
		keyExecutor.String(p.name), attribute.String("grove.call", title(c.Name, "")), keyOutcome.String(outcomeOf(err).String())))
	span.AddEvent("started", trace.WithTimestamp(started))
	if err != nil {
		p, _ := err.(*taskgroup.PanicError) //nolint:errorlint // a panic further down is another's
		recordFailure(span, err, p, nil)
	}
	span.End(trace.WithTimestamp(ended))
}
