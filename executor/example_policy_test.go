package executor_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/looplag"
)

// hold fills the only slot of a pool until the returned function is called.
func hold(pool *executor.Pool) (release func()) {
	started, released := make(chan struct{}), make(chan struct{})
	executor.Submit(context.Background(), pool, func(context.Context) (int, error) {
		close(started)
		<-released
		return 0, nil
	}, executor.Name("holder"))
	<-started
	return func() { close(released) }
}

// One tenant's burst does not hold up another's call: keys take turns.
func ExampleKey() {
	pool, _ := executor.New(executor.Config{Workers: 1, Queue: 100})
	ctx := context.Background()
	release := hold(pool)

	for _, job := range []string{"busy 1", "busy 2", "busy 3", "quiet 1"} {
		tenant, _, _ := strings.Cut(job, " ")
		executor.Submit(ctx, pool, func(context.Context) (int, error) {
			fmt.Println(job)
			return 0, nil
		}, executor.Key(tenant))
	}
	release()
	fmt.Println(pool.Drain(ctx))
	// Output:
	// busy 1
	// quiet 1
	// busy 2
	// busy 3
	// <nil>
}

func ExamplePriority() {
	pool, _ := executor.New(executor.Config{Workers: 1, Queue: 100})
	ctx := context.Background()
	release := hold(pool)

	for _, level := range []executor.Level{executor.Low, executor.Normal, executor.High} {
		executor.Submit(ctx, pool, func(context.Context) (int, error) {
			fmt.Println("level", level)
			return 0, nil
		}, executor.Priority(level))
	}
	release()
	fmt.Println(pool.Drain(ctx))
	// Output:
	// level 1
	// level 0
	// level -1
	// <nil>
}

// Under a load that lasts, callers get an answer soon, or none at all, instead of all of them a late one.
func ExampleCoDel() {
	pool, err := executor.New(executor.Config{
		Name: "pdf", Workers: 4, Queue: executor.Unbounded,
		MaxWait:  time.Second,                                    // in a burst
		Overload: &executor.CoDel{Target: 20 * time.Millisecond}, // when it is none
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	pages, err := executor.Do(context.Background(), pool, func(context.Context) (int, error) { return 12, nil })
	fmt.Println(pages, err)
	// Output: 12 <nil>
}

func ExampleHooks() {
	pool, _ := executor.New(executor.Config{Name: "pdf", Workers: 1, Queue: executor.NoQueue})
	pool.Observe(&executor.Hooks{
		CallEnded: func(_ context.Context, c executor.CallInfo, err error) {
			fmt.Println(c.Pool, c.Name, "ended with", err)
		},
		CallRefused: func(_ context.Context, c executor.CallInfo, err error) {
			fmt.Println(c.Pool, c.Name, "was refused:", err)
		},
	})
	ctx := context.Background()

	release := hold(pool)
	_, _ = executor.Do(ctx, pool, func(context.Context) (int, error) { return 1, nil }, executor.Name("render"))
	release()
	fmt.Println(pool.Drain(ctx))
	// Output:
	// pdf render was refused: executor: queue full
	// pdf holder ended with <nil>
	// <nil>
}

// A call that does not return is reported with the place where it hangs.
func ExampleRunning() {
	reported := make(chan executor.Running)
	pool, _ := executor.New(executor.Config{
		Workers: 1, StuckAfter: time.Millisecond,
		OnStuck: func(r executor.Running) { reported <- r },
	})
	release := make(chan struct{})
	ctx := context.Background()

	executor.Submit(ctx, pool, func(context.Context) (int, error) { return stuckForever(release) },
		executor.Name("import"), executor.Key("tenant-7"))
	stuck := <-reported
	fmt.Println(stuck.Name, stuck.Key, stuck.Age >= time.Millisecond, strings.Contains(string(stuck.Stack), "stuckForever"))

	// There is no slot to wait for.
	_, err := executor.Do(ctx, pool, func(context.Context) (int, error) { return 1, nil })
	fmt.Println(err)

	close(release)
	fmt.Println(pool.Drain(ctx))
	// Output:
	// import tenant-7 true true
	// executor: call shed
	// <nil>
}

func ExampleStats() {
	pool, _ := executor.New(executor.Config{Name: "pdf", Workers: 1, Queue: 1})
	ctx := context.Background()
	release := hold(pool)
	for range 3 {
		executor.Submit(ctx, pool, func(context.Context) (int, error) { return 1, nil })
	}

	s := pool.Stats()
	fmt.Printf("%s: %d of %d run, %d of %d wait, %d refused\n", s.Name, s.Running, s.Limit, s.Queued, s.Queue, s.Refused.QueueFull)
	release()
	fmt.Println(pool.Drain(ctx))
	// Output:
	// pdf: 1 of 1 run, 1 of 1 wait, 2 refused
	// <nil>
}

func ExamplePool_Resize() {
	pool, _ := executor.New(executor.Config{Workers: 1, Queue: 10})
	ctx := context.Background()
	release := hold(pool)

	waiting := executor.Submit(ctx, pool, func(context.Context) (string, error) { return "started", nil })
	pool.Resize(2)
	fmt.Println(waiting.Await(ctx))
	release()
	fmt.Println(pool.Drain(ctx))
	// Output:
	// started <nil>
	// <nil>
}

// office is a Limiter of one's own: it lets more run at night.
type office struct{ night bool }

func (o *office) Next(s executor.Sample) float64 {
	if o.night {
		return s.Limit + 1
	}
	return 2
}

func ExampleLimiter() {
	pool, _ := executor.New(executor.Config{Workers: 8, Limiter: &office{}})
	defer pool.Close()
	fmt.Println(pool.Stats().Limit)
	_, _ = executor.Do(context.Background(), pool, func(context.Context) (int, error) { return 1, nil })
	fmt.Println(pool.Stats().Limit)
	// Output:
	// 8
	// 2
}

// Work in the background that makes room when goroutines that serve requests have to wait for a processor.
func ExampleSchedLatency() {
	probe := looplag.New(looplag.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go probe.Run(ctx)

	pool, _ := executor.New(executor.Config{
		Name: "reports", Workers: 8, Queue: 1000,
		Limiter: executor.SchedLatency(probe, time.Millisecond),
	})
	defer pool.Close()
	n, err := executor.Do(ctx, pool, func(context.Context) (int, error) { return 1, nil })
	fmt.Println(n, err)
	// Output: 1 <nil>
}
