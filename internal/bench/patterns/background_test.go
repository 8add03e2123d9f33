package patterns_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grove-go/grove/taskgroup"
)

func upload(ctx context.Context, parts []string) error {
	return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "lease", Background: true, Func: keepLease})
		for _, p := range parts {
			g.Go(func(ctx context.Context) error { return send(ctx, p) })
		}
		return nil // the lease is kept until the last part is sent, and then given up
	})
}

func keepLease(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := renew(ctx); err != nil {
				return err // fails the group: the parts must not go on without
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestBackgroundTaskEndsAfterTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := upload(t.Context(), []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != partTime {
			t.Fatal(took)
		}
	})
}

func serve(ctx context.Context, report func(taskgroup.Stragglers)) error {
	return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "export", Func: export})
		return nil
	}, taskgroup.Grace(5*time.Second, report))
}

func TestGraceReportsTheTaskThatDoesNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var late []string
		err := serve(ctx, func(s taskgroup.Stragglers) {
			for _, task := range s.Tasks {
				late = append(late, fmt.Sprint(task.Name, " ", s.After))
			}
		})
		if !errors.Is(err, context.DeadlineExceeded) || fmt.Sprint(late) != "[export 5s]" {
			t.Fatal(err, late)
		}
	})
}
