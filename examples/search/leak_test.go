package main_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(built) //nolint:errcheck // a directory of temporary files; "" is none
		os.Exit(code)
	}))
}
