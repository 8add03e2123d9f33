package bench

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/grove-go/grove/deadline"
)

// A Timeout returns a context that ends after d at the latest, with a cause that tells this from an end of the parent.
type Timeout func(ctx context.Context, name string, d time.Duration) (context.Context, context.CancelFunc)

// A Timed calls f with a context that ends after d at the latest. The error of an f that ran out of time says whose
// time that was; any other comes back as it is. If there is no time at all, f is not called.
type Timed func(ctx context.Context, name string, d time.Duration, f func(context.Context) (int, error)) (int, error)

// timeouts are Grove's and two of the standard library's: with a cause that has the name and the limit, as Grove's
// has, and with one that has nothing and is the same for all contexts.
func timeouts() []peer[Timeout] {
	return []peer[Timeout]{
		{Grove, deadline.With},
		{"context", withTimeoutCause},
		{"context.static", withStaticCause},
	}
}

func timeds() []peer[Timed] {
	return []peer[Timed]{
		{Grove, deadline.Do[int]},
		{"go", goTimed},
	}
}

func withTimeoutCause(ctx context.Context, name string, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, &timeoutError{name, d})
}

func withStaticCause(ctx context.Context, _ string, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, errTimeout)
}

var errTimeout = errors.New("timeout")

// goTimed is what one writes without a library. It goes by the context alone; Grove also by the clock, since an error of
// I/O can come at the deadline before the context's timer has run.
func goTimed(ctx context.Context, name string, d time.Duration, f func(context.Context) (int, error)) (int, error) {
	ctx, cancel := withTimeoutCause(ctx, name, d)
	defer cancel()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	v, err := f(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return 0, fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return v, err
}

// timeoutError is a cause that says which timeout it was.
type timeoutError struct {
	name  string
	limit time.Duration
}

func (e *timeoutError) Error() string { return fmt.Sprintf("%s: %v exceeded", e.name, e.limit) }

func (e *timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// parents are the contexts that a timeout of an hour is put on: one without a deadline, and those of requests that
// have more and less time left. With less, there is no timer to set.
var parents = []struct {
	name  string
	limit time.Duration
}{{"cancel", 0}, {"later", 2 * time.Hour}, {"sooner", time.Minute}}

// deadlineCases are contexts that are given a timeout and released again, with and without another context derived
// from them, and calls with a timeout that return at once. The target leaves out the cause that says nothing.
func deadlineCases() []Case {
	var cases []Case
	for _, parent := range parents {
		for _, derive := range []bool{false, true} {
			cases = append(cases, Case{
				Name:    fmt.Sprintf("with/parent=%s/derive=%t", parent.name, derive),
				Impls:   measure(timeouts(), func(b *testing.B, with Timeout) { with.bench(b, parent.limit, derive) }),
				Targets: []Target{{"context", 1.10}},
			})
		}
	}
	for _, parent := range parents {
		for _, fails := range []bool{false, true} {
			cases = append(cases, Case{
				Name:  fmt.Sprintf("do/parent=%s/fails=%t", parent.name, fails),
				Impls: measure(timeds(), func(b *testing.B, do Timed) { do.bench(b, parent.limit, fails) }),
			})
		}
	}
	return cases
}

func (t Timeout) bench(b *testing.B, parent time.Duration, derive bool) {
	b.ReportAllocs()
	request, end := requestContext(parent)
	defer end()
	for b.Loop() {
		ctx, cancel := t(request, "call", time.Hour)
		if derive {
			_, cancelDerived := context.WithCancel(ctx)
			cancelDerived()
		}
		cancel()
	}
}

func (t Timed) bench(b *testing.B, parent time.Duration, fails bool) {
	var want error
	if fails {
		want = errFailed
	}
	b.ReportAllocs()
	request, end := requestContext(parent)
	defer end()
	f := func(context.Context) (int, error) { return 0, want }
	for b.Loop() {
		if _, err := t(request, "call", time.Hour, f); (err != nil) != fails {
			b.Fatal(err)
		}
	}
}

var errFailed = errors.New("failed")

// requestContext is a context as a request's; a limit of 0 means that it has no deadline.
func requestContext(limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), limit)
}
