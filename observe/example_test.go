package observe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/taskgroup"
)

// plainLog writes records without what differs from run to run.
func plainLog() *slog.Logger {
	differs := map[string]bool{"time": true, "at": true, "after": true, "stack": true, "func": true}
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if differs[a.Key] {
			return slog.Attr{}
		}
		return a
	}}))
}

// A failure is logged where it happened, and not again by those who pass it on.
func ExampleObserver_Context() {
	o, err := observe.New(observe.Config{Logger: plainLog()})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := o.Context(context.Background())
	err = taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "page", Func: func(ctx context.Context) error {
			return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
				g.Start(taskgroup.Task{Name: "query", Func: func(context.Context) error { return errors.New("no rows") }})
				return nil
			}, taskgroup.Name("database"))
		}})
		return nil
	}, taskgroup.Name("request"))
	fmt.Println(err)
	// Output:
	// level=WARN msg="task failed" group=database task=query error="no rows"
	// request: page: database: query: no rows
}

func ExampleObserver_Recover() {
	o, err := observe.New(observe.Config{Logger: plainLog()})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := o.Recover(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = taskgroup.Run(r.Context(), func(_ context.Context, g *taskgroup.Group) error {
			g.Start(taskgroup.Task{Name: "parse", Func: func(context.Context) error { panic("index out of range") }})
			return nil
		}, taskgroup.Name("upload"))
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil))
	fmt.Println(w.Code)
	// Output:
	// level=ERROR msg="panic in a task" group=upload task=parse panic="index out of range"
	// 500
}

// What somebody who asks with curl would see of an executor.
func ExampleObserver_Handler() {
	o, err := observe.New(observe.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	pool, err := executor.New(executor.Config{Name: "sqlite", Workers: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close() //nolint:errcheck // nothing runs in it
	o.Executor(pool)

	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "http://localhost:6060/debug/grove", nil)
	r.RemoteAddr = "127.0.0.1:50000"
	w := httptest.NewRecorder()
	o.Handler().ServeHTTP(w, r)
	_, executors, _ := strings.Cut(w.Body.String(), "EXECUTORS\n")
	fmt.Println(executors)
	// Output:
	//   name    running  queued  oldest  oldest queued  abandoned
	//   sqlite      0/4     0/4      0s             0s          0
}

// A lint is on the page within a second of when it begins; here the page makes the clock tick, since Run does not run.
func ExampleLint() {
	o, err := observe.New(observe.Config{Logger: slog.New(slog.DiscardHandler), Allow: func(*http.Request) bool { return true }})
	if err != nil {
		fmt.Println(err)
		return
	}
	pool, err := executor.New(executor.Config{Name: "imports", Workers: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close() //nolint:errcheck // what runs in it ends below
	o.Executor(pool)
	stuck := make(chan struct{})
	defer close(stuck)
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, _ = executor.Do(ctx, pool, func(context.Context) (int, error) { <-stuck; return 0, nil })

	w := httptest.NewRecorder()
	o.Handler().ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/?format=json", nil))
	var page struct{ Lints []observe.Lint }
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
		fmt.Println(err)
	}
	for _, l := range page.Lints {
		fmt.Println(l.Code, l.About)
	}
	// Output: abandoned imports
}
