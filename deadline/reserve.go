package deadline

import (
	"context"
	"fmt"
	"time"
)

// Reserve returns a context that ends keep before the parent's deadline does, so that there is time to answer, or to
// fall back, when what runs under it has failed. Its cause is then an [*Error] with this name. If the parent has less
// than keep left, the context has ended already; if the parent has no deadline, or keep is not positive, it ends when
// the parent does. Call cancel as soon as the work is done.
func Reserve(ctx context.Context, name string, keep time.Duration) (context.Context, context.CancelFunc) {
	t, ok := ctx.Deadline()
	if !ok || keep <= 0 {
		return unlimited(ctx)
	}
	t = t.Add(-keep)
	return until(ctx, t, name, time.Until(t))
}

// Share returns a context that ends after that fraction of the time which the parent has left now: [With] for a step
// whose budget grows and shrinks with the caller's. A parent without a deadline gives a context that ends when the
// parent does, and so does a fraction of 1. Call cancel as soon as the work is done.
//
// Share panics unless the fraction is above 0 and at most 1.
func Share(ctx context.Context, name string, fraction float64) (context.Context, context.CancelFunc) {
	if !(fraction > 0 && fraction <= 1) { // false for NaN
		panic(fmt.Sprintf("deadline: Share of %v, which is not in (0, 1]", fraction))
	}
	left, ok := Remaining(ctx)
	if !ok || fraction == 1 {
		return unlimited(ctx)
	}
	return With(ctx, name, time.Duration(float64(left)*fraction))
}
