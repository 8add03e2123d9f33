package bench

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// A Task is the work that every implementation runs.
type Task func(ctx context.Context) error

type namedTask struct {
	name string
	task Task
}

// tasks are the work from the cheapest to the dearest.
func tasks() []namedTask {
	return []namedTask{
		{"noop", noop},
		{"done", askDone},
		{"1us", spinFor(1)},
		{"10us", spinFor(10)},
		{"1ms-sleep", sleep},
	}
}

func noop(context.Context) error { return nil }

// askDone needs a context with a Done channel, which costs an allocation when the context is made lazily.
func askDone(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	default:
		return nil
	}
}

func sleep(context.Context) error {
	time.Sleep(time.Millisecond)
	return nil
}

// spinFor returns a task that keeps one processor busy for the given time if nothing interrupts it.
func spinFor(microseconds float64) Task {
	steps := sync.OnceValue(func() int { return int(microseconds * stepsPerMicrosecond()) })
	return func(context.Context) error { return spin(steps()) }
}

// stepsPerMicrosecond is taken from the fastest of many trials: the one that was not interrupted.
var stepsPerMicrosecond = sync.OnceValue(func() float64 {
	const steps = 100_000
	fastest := time.Duration(math.MaxInt64)
	for range 50 {
		start := time.Now()
		_ = spin(steps)
		fastest = min(fastest, time.Since(start))
	}
	return steps / (float64(fastest) / float64(time.Microsecond))
})

// spin's result depends on every step, so that the compiler cannot drop one.
//
//go:noinline
func spin(steps int) error {
	x := uint64(1)
	for range steps {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 {
		return errors.New("bench: xorshift reached zero, which it cannot")
	}
	return nil
}
