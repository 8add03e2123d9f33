package patterns_test

import (
	"context"
	"fmt"
	"io"

	"github.com/grove-go/grove/taskgroup"
)

func open(ctx context.Context, mirrors []string) (io.ReadCloser, error) {
	var fs []func(context.Context) (io.ReadCloser, error)
	for _, m := range mirrors {
		fs = append(fs, func(ctx context.Context) (io.ReadCloser, error) { return dial(ctx, m) })
	}
	return taskgroup.First(ctx, fs, taskgroup.Discard(func(late io.ReadCloser) { _ = late.Close() }))
}

func Example_first() {
	conn, err := open(context.Background(), []string{"near", "far"})
	if err != nil {
		panic(err)
	}
	fmt.Println(conn.Close())
	// Output: <nil>
}

func write(ctx context.Context, replicas []string, value string) error {
	var fs []func(context.Context) (string, error)
	for _, r := range replicas {
		fs = append(fs, func(ctx context.Context) (string, error) { return r, put(ctx, r, value) })
	}
	_, err := taskgroup.Quorum(ctx, len(fs)/2+1, fs)
	return err
}

func Example_quorum() {
	fmt.Println(write(context.Background(), []string{"a", "b", "down"}, "value"))
	// Output: <nil>
}
