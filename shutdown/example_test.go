package shutdown_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/grove-go/grove/shutdown"
)

// part is a component that says what it does.
func part(name string, phase shutdown.Phase, needs ...string) shutdown.Component {
	return shutdown.Component{
		Name: name, Phase: phase, Needs: needs,
		Start: func(context.Context) error { fmt.Println("start", name); return nil },
		Stop:  func(context.Context) error { fmt.Println("stop", name); return nil },
	}
}

func Example() {
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		app.Shutdown(nil) // as a signal would
		w.Write([]byte("answered nevertheless"))
	})}
	app.Add(
		shutdown.HTTP("http", server, listener),
		part("cache", shutdown.Resources, "db"),
		part("db", shutdown.Resources),
	)

	answer := make(chan string)
	go func() {
		transport := new(http.Transport)
		defer transport.CloseIdleConnections()
		body, err := fetch(ctx, transport, "http://"+listener.Addr().String())
		answer <- fmt.Sprint(body, " ", err)
	}()
	code := shutdown.ExitCode(app.Run(ctx))
	fmt.Println(<-answer)
	fmt.Println("exit", code)
	// Output:
	// start db
	// start cache
	// stop cache
	// stop db
	// answered nevertheless <nil>
	// exit 0
}

// Code that waits listens to Stopping, code that works to its context.
func ExampleStopping() {
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	messages := make(chan string, 1)
	messages <- "hello"
	app.Add(shutdown.Component{
		Name: "consumer", Phase: shutdown.Work,
		Run: func(ctx context.Context) error {
			for {
				select {
				case m := <-messages:
					app.Shutdown(nil) // the stop begins while the message is in hand
					fmt.Printf("%s is handled with a context that is alive: %v\n", m, ctx.Err() == nil)
				case <-shutdown.Stopping(ctx):
					fmt.Println("no more messages")
					return nil
				}
			}
		},
	})
	fmt.Println(app.Run(context.Background()))
	// Output:
	// hello is handled with a context that is alive: true
	// no more messages
	// <nil>
}

func ExampleReport() {
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	app.Add(
		shutdown.Component{Name: "db", Stop: func(context.Context) error { return errors.New("connection lost") }},
		shutdown.Component{Name: "job", Phase: shutdown.Work, Run: func(context.Context) error { return errors.New("out of memory") }},
	)
	err = app.Run(context.Background())
	fmt.Println(err)
	for _, s := range app.Report().Steps {
		fmt.Println(s.Component, s.Hook, s.Err)
	}
	fmt.Println("exit", shutdown.ExitCode(err))
	// Output:
	// shutdown: "job" failed: out of memory
	// db (Resources): Stop: connection lost
	// job Run out of memory
	// db Stop connection lost
	// exit 1
}

func ExampleApp_Track() {
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	written := make(chan struct{})
	app.Add(part("db", shutdown.Resources), shutdown.Component{
		Name: "handler", Phase: shutdown.Intake,
		Run: func(ctx context.Context) error {
			done, err := app.Track(ctx, "write-back")
			if err != nil {
				return err // too late: nobody would wait for it
			}
			go func() {
				defer done()
				<-written
				fmt.Println("written, before the database is closed")
			}()
			return nil
		},
		Stop: func(context.Context) error { close(written); return nil },
	})
	fmt.Println(app.Run(context.Background()))
	// Output:
	// start db
	// written, before the database is closed
	// stop db
	// <nil>
}

// A whole stop, with its delays, runs in no time inside testing/synctest. This is without a bubble, for Output's sake.
func ExampleConfig() {
	signals := make(chan os.Signal, 1)
	app, err := shutdown.New(shutdown.Config{
		Timeout:      10 * time.Second,
		DrainDelay:   10 * time.Millisecond,
		Logger:       slog.New(slog.DiscardHandler),
		SignalSource: signals,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	app.Add(shutdown.Component{Name: "work", Start: func(context.Context) error {
		signals <- syscall.SIGTERM
		return nil
	}})
	fmt.Println(app.Run(context.Background()), app.Report().Reason)

	_, err = shutdown.New(shutdown.Config{Timeout: time.Second, DrainDelay: time.Second})
	fmt.Println(err)
	// Output:
	// <nil> signal terminated
	// shutdown: DrainDelay is 1s, but must be between 0 and Timeout less Reserve, 800ms
}

func ExampleHooks() {
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	app.Observe(&shutdown.Hooks{
		PhaseBegan: func(p shutdown.PhaseInfo) { fmt.Println("phase", p.Phase) },
		StepEnded:  func(s shutdown.Step) { fmt.Println(s.Component, s.Hook, s.Err) },
	})
	app.Add(shutdown.Component{
		Name:  "db",
		Start: func(context.Context) error { return nil },
		Stop:  func(context.Context) error { return errors.New("connection lost") },
	})
	app.Add(shutdown.Component{Name: "job", Phase: shutdown.Work, Run: func(context.Context) error { return nil }})
	app.Run(context.Background()) //nolint:errcheck // the hooks have told
	for _, c := range app.Report().Components {
		fmt.Println(c.Name, "is", c.State)
	}
	// Output:
	// db Start <nil>
	// job Run <nil>
	// phase Announce
	// phase Intake
	// phase InFlight
	// phase Work
	// phase Resources
	// db Stop connection lost
	// phase Telemetry
	// job is over
	// db is over
}
