package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(closing{m}) }

// closing closes what the tests share before goleak looks.
type closing struct{ *testing.M }

func (c closing) Run() int {
	code := c.M.Run()
	if sharedSQLite == nil {
		return code
	}
	if err := errors.Join(sharedSQLite.Drain(context.Background()), sharedSQLite.Close()); err != nil {
		fmt.Println(err)
		return 1
	}
	return code
}
