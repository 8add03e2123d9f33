package main_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/grove-go/grove/examples/internal/kit"
	rolling "github.com/grove-go/grove/examples/rolling"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(rolling.EventsVariable); addr != "" {
		os.Exit(kit.Exit(os.Stderr, "events", rolling.ServeEvents(context.Background(), addr)))
	}
	goleak.VerifyTestMain(m)
}
