package bench

import (
	"context"
	"sync"
)

// failure is what the libraries that know no errors are given to have the semantics of the others: it keeps the first
// failure of a scope and cancels the context of the rest.
type failure struct {
	cancel context.CancelFunc
	once   sync.Once
	err    error // read when all tasks have ended
}

// within returns the context of a scope's tasks and the keeper of their first failure. The scope has to call cancel.
func within(ctx context.Context) (context.Context, *failure) {
	ctx, cancel := context.WithCancel(ctx)
	return ctx, &failure{cancel: cancel}
}

func (f *failure) record(err error) {
	f.once.Do(func() {
		f.err = err
		f.cancel()
	})
}
