package shutdown_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/grove-go/grove/shutdown"
)

// serverVariable makes the test binary a server.
const serverVariable = "GROVE_SHUTDOWN_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		os.Exit(shutdown.ExitCode(runServer()))
	}
	goleak.VerifyTestMain(m)
}

// runServer prints its address and echoes what it is sent.
func runServer() error {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	app, err := shutdown.New(shutdown.Config{})
	if err != nil {
		return err
	}
	app.Add(shutdown.HTTP("http", &http.Server{Handler: http.HandlerFunc(echo)}, ln))
	app.Add(shutdown.Component{Name: "address", Phase: shutdown.Intake, Start: func(context.Context) error {
		_, err := fmt.Println(ln.Addr())
		return err
	}})
	return app.Run(context.Background())
}
