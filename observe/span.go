package observe

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// root is the context of what nobody has asked for.
var root = context.Background() //nolint:forbidigo // see above

// recording returns the span of ctx if it records, and nil otherwise.
func recording(ctx context.Context) trace.Span {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		return span
	}
	return nil
}

// measured returns the context for measurements beside span; nil without one. Instruments look for the span in it to decide
// whether to keep an exemplar, each time, and that of a request is many contexts deep.
func measured(span trace.Span) context.Context {
	if span == nil {
		return nil
	}
	return trace.ContextWithSpan(root, span)
}
