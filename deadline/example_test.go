package deadline_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grove-go/grove/deadline"
)

// slow is a call that takes an hour unless its context ends.
func slow(ctx context.Context) (string, error) {
	select {
	case <-time.After(time.Hour):
		return "answer", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// The error names the budget that ran out: the step's own, or that of the request which had less left.
func ExampleDo() {
	_, err := deadline.Do(context.Background(), "cache", 5*time.Millisecond, slow)
	fmt.Println(err)

	ctx, cancel := deadline.With(context.Background(), "request", 20*time.Millisecond)
	defer cancel()
	_, err = deadline.Do(ctx, "db", time.Minute, slow)
	fmt.Println(err)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// deadline: cache: 5ms exceeded
	// deadline: request: 20ms exceeded (inherited)
	// true
}

func ExampleCause() {
	ctx, cancel := deadline.With(context.Background(), "request", time.Millisecond)
	defer cancel()
	<-ctx.Done()
	if e, ok := deadline.Cause(ctx); ok {
		fmt.Println(e.Name, e.Limit)
	}
	// Output: request 1ms
}

func ExampleRequire() {
	ctx, cancel := deadline.With(context.Background(), "request", 50*time.Millisecond)
	defer cancel()
	if err := deadline.Require(ctx, time.Hour); err != nil {
		fmt.Println("answer without the report")
	}
	// Output: answer without the report
}

// The search may use all the time there is but for what it takes to answer without its results.
func ExampleReserve() {
	ctx, cancel := deadline.With(context.Background(), "request", time.Minute)
	defer cancel()

	search, stop := deadline.Reserve(ctx, "search", time.Minute-time.Millisecond)
	defer stop()
	if _, err := slow(search); err != nil {
		fmt.Println("search over, request alive:", ctx.Err() == nil)
	}
	// Output: search over, request alive: true
}

// The cache gets a tenth of the request's time, whatever that is.
func ExampleShare() {
	ctx, cancel := deadline.With(context.Background(), "request", time.Minute)
	defer cancel()

	cache, stop := deadline.Share(ctx, "cache", 0.1)
	defer stop()
	left, ok := deadline.Remaining(cache)
	fmt.Println(ok, left <= 6*time.Second)
	// Output: true true
}

// A rollback has a minute, although the request that it belongs to is gone.
func ExampleCleanup() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	ctx, stop := deadline.Cleanup(ctx, time.Minute)
	defer stop()
	fmt.Println(ctx.Err())
	// Output: <nil>
}

// A stream may send what it has begun to send for a moment after its client's request has ended.
func ExampleLinger() {
	ctx, cancel := context.WithCancel(context.Background())
	lingering, stop := deadline.Linger(ctx, time.Millisecond)
	defer stop()

	cancel()
	<-lingering.Done()
	fmt.Println(context.Cause(lingering))
	// Output: deadline: linger: 1ms exceeded
}

func ExampleRetry() {
	policy := deadline.RetryPolicy{
		Attempts: 4,
		Initial:  time.Millisecond,
		Budget:   deadline.NewBudget(10, 0.1), // one for all calls to this service
	}
	v, err := deadline.Retry(context.Background(), policy, func(_ context.Context, attempt int) (string, error) {
		if attempt < 3 {
			return "", errors.New("unavailable")
		}
		return fmt.Sprintf("answer of attempt %d", attempt), nil
	})
	fmt.Println(v, err)
	// Output: answer of attempt 3 <nil>
}

func ExampleRetryError() {
	ctx, cancel := deadline.With(context.Background(), "request", time.Minute)
	defer cancel()
	policy := deadline.RetryPolicy{Fatal: func(err error) bool { return err.Error() == "no such user" }}
	_, err := deadline.Retry(ctx, policy, func(_ context.Context, attempt int) (string, error) {
		if attempt == 1 {
			return "", errors.New("unavailable")
		}
		return "", errors.New("no such user")
	})
	fmt.Println(err)
	if e, ok := errors.AsType[*deadline.RetryError](err); ok {
		fmt.Println(e.Attempts)
	}
	// Output:
	// deadline: 2 attempts failed, the last: no such user
	// [unavailable no such user]
}

func ExampleBudget() {
	budget := deadline.NewBudget(2, 0.1)
	down := func(context.Context, int) (string, error) { return "", errors.New("unavailable") }
	_, err := deadline.Retry(context.Background(), deadline.RetryPolicy{Budget: budget}, down)
	fmt.Println(err)
	fmt.Println(errors.Is(err, deadline.ErrBudget))
	// Output:
	// deadline: 1 attempt failed: unavailable (stopped: deadline: retry budget spent)
	// true
}

// The first attempt hangs, so a second one is started beside it, and the first one is cancelled when that is done.
func ExampleHedge() {
	policy := deadline.HedgePolicy{Delay: 5 * time.Millisecond}
	v, err := deadline.Hedge(context.Background(), policy, func(ctx context.Context, attempt int) (string, error) {
		if attempt == 1 {
			return slow(ctx)
		}
		return "answer of attempt 2", nil
	})
	fmt.Println(v, err)
	// Output: answer of attempt 2 <nil>
}

// subscription needs the context under which it was made.
type subscription struct{ ctx context.Context }

func (s *subscription) Close() {}

// What the winner returned can be used until release; what another one returned too late is closed.
func ExampleHedgeHeld() {
	subscribe := func(ctx context.Context, _ int) (*subscription, error) { return &subscription{ctx}, nil }
	sub, release, err := deadline.HedgeHeld(context.Background(), deadline.HedgePolicy{Delay: time.Second}, subscribe, (*subscription).Close)
	defer release()
	if err != nil {
		return
	}
	fmt.Println(sub.ctx.Err())
	release()
	fmt.Println(sub.ctx.Err())
	// Output:
	// <nil>
	// context canceled
}
