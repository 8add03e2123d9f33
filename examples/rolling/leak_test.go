package main_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/grove-go/grove/examples/internal/kit"
	rolling "github.com/grove-go/grove/examples/rolling"
)

// commandVariable makes this program the command itself.
const commandVariable = "GROVE_ROLLING_TEST_COMMAND"

func TestMain(m *testing.M) {
	if addr := os.Getenv(rolling.EventsVariable); addr != "" {
		os.Exit(kit.Exit(os.Stderr, "events", rolling.ServeEvents(context.Background(), addr)))
	}
	if os.Getenv(commandVariable) != "" {
		rolling.Main()
	}
	goleak.VerifyTestMain(m)
}
