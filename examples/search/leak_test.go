package main_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if dir, err := built(); err == nil {
			os.RemoveAll(dir) //nolint:errcheck // it is a temporary one
		}
		os.Exit(code)
	}))
}
