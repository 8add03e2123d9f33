package executor_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"strings"

	"github.com/grove-go/grove/executor"
)

func resize(_ context.Context, img image.Image) (image.Image, error) {
	return image.NewGray(image.Rect(0, 0, img.Bounds().Dx()/10, img.Bounds().Dy()/10)), nil
}

func Example() {
	ctx := context.Background()
	img := image.NewGray(image.Rect(0, 0, 1600, 1200))

	pool, err := executor.New(executor.Config{Name: "thumbnails", Workers: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	thumb, err := executor.Do(ctx, pool, func(ctx context.Context) (image.Image, error) {
		return resize(ctx, img)
	})
	fmt.Println(thumb.Bounds(), err)
	// Output: (0,0)-(160,120) <nil>
}

// A caller leaves when its ctx ends, even if fn does not look at its own.
func ExampleAbandonedError() {
	pool, _ := executor.New(executor.Config{Name: "legacy", Workers: 1, Queue: executor.NoQueue})
	defer pool.Close()
	ctx, cancel := context.WithCancel(context.Background())
	release := make(chan struct{})

	_, err := executor.Do(ctx, pool, func(context.Context) (int, error) {
		cancel() // the caller goes away
		<-release
		return 0, nil
	}, executor.Name("stubborn"))
	var abandoned *executor.AbandonedError
	fmt.Println(errors.As(err, &abandoned), abandoned.Name, abandoned.Cause)

	// The slot stays taken, so others are told at once.
	stats := pool.Stats()
	fmt.Println(stats.Running, stats.Abandoned)
	_, err = executor.Do(context.Background(), pool, func(context.Context) (int, error) { return 1, nil })
	fmt.Println(err, errors.Is(err, executor.ErrNotStarted))
	close(release)
	// Output:
	// true stubborn context canceled
	// 1 1
	// executor: queue full true
}

func ExampleFuture() {
	pool, _ := executor.New(executor.Config{Workers: 2, Queue: 10})
	defer pool.Close()
	ctx := context.Background()

	var words []*executor.Future[string]
	for _, word := range []string{"a", "grove", "of", "trees"} {
		words = append(words, executor.Submit(ctx, pool, func(context.Context) (string, error) {
			return strings.ToUpper(word), nil
		}))
	}
	for _, f := range words {
		word, err := f.Await(ctx)
		fmt.Println(word, err)
	}
	// Output:
	// A <nil>
	// GROVE <nil>
	// OF <nil>
	// TREES <nil>
}

func ExampleDrainError() {
	pool, _ := executor.New(executor.Config{Name: "legacy", Workers: 1})
	release := make(chan struct{})
	started := make(chan struct{})
	stuck := executor.Submit(context.Background(), pool, func(context.Context) (int, error) {
		close(started)
		return stuckForever(release)
	}, executor.Name("import"))
	<-started

	if left, ok := errors.AsType[*executor.DrainError](pool.Close()); ok {
		for _, call := range left.Running {
			fmt.Println(left.Pool, call.Name, strings.Contains(string(call.Stack), "stuckForever"))
		}
	}
	_, err := stuck.Await(context.Background())
	fmt.Println(errors.Is(err, executor.ErrDraining))

	close(release)
	fmt.Println(pool.Drain(context.Background()))
	// Output:
	// legacy import true
	// true
	// <nil>
}

func ExampleInline() {
	pool, _ := executor.New(executor.Config{Workers: 2})
	defer pool.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	// A bound, and no goroutine: for calls that end by themselves.
	n, err := executor.Do(ctx, pool, func(context.Context) (int, error) { return 6 * 7, nil }, executor.Inline())
	fmt.Println(n, err)
	// Output: 42 <nil>
}
