package patterns_test

import (
	"context"
	"fmt"
	"iter"
	"slices"

	conciter "github.com/sourcegraph/conc/iter"
	"github.com/sourcegraph/conc/pool"
	"github.com/sourcegraph/conc/stream"

	"github.com/grove-go/grove/taskgroup"
)

func removeByPool(ctx context.Context, names iter.Seq[string]) error {
	p := pool.New().WithMaxGoroutines(8).WithContext(ctx).WithCancelOnError()
	for name := range names {
		p.Go(func(ctx context.Context) error { return remove(ctx, name) })
	}
	return p.Wait()
}

func removeByForEach(ctx context.Context, names iter.Seq[string]) error {
	return taskgroup.ForEach(ctx, 8, names, remove)
}

func Example_concPool() {
	names := slices.Values([]string{"a", "b"})
	fmt.Println(removeByPool(context.Background(), names))
	fmt.Println(removeByForEach(context.Background(), names))
	// Output:
	// <nil>
	// <nil>
}

func pricesByMapper(ctx context.Context, items []string) ([]int, error) {
	mapper := conciter.Mapper[string, int]{MaxGoroutines: 8}
	return mapper.MapErr(items, func(item *string) (int, error) { return price(ctx, *item) })
}

func Example_concMap() {
	items := []string{"axe", "saw", "spade"}
	fmt.Println(pricesByMapper(context.Background(), items))
	fmt.Println(pricesByMap(context.Background(), items))
	// Output:
	// [3 3 5] <nil>
	// [3 3 5] <nil>
}

func printByStream(ctx context.Context, items iter.Seq[string]) {
	s := stream.New().WithMaxGoroutines(8)
	for item := range items {
		s.Go(func() stream.Callback {
			p, err := price(ctx, item)
			return func() { fmt.Println(p, err) }
		})
	}
	s.Wait()
}

func printByOrdered(ctx context.Context, items iter.Seq[string]) error {
	for p, err := range taskgroup.Ordered(ctx, 8, items, price) {
		if err != nil {
			return err
		}
		fmt.Println(p)
	}
	return nil
}

func Example_concStream() {
	items := slices.Values([]string{"axe", "spade"})
	printByStream(context.Background(), items)
	fmt.Println(printByOrdered(context.Background(), items))
	// Output:
	// 3 <nil>
	// 5 <nil>
	// 3
	// 5
	// <nil>
}
