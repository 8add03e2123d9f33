package shutdown_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/grove-go/grove/shutdown"
)

func TestMain(m *testing.M) {
	if run, ok := services[os.Getenv(serviceVariable)]; ok {
		err := runService(run)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(shutdown.ExitCode(err))
	}
	goleak.VerifyTestMain(m)
}
