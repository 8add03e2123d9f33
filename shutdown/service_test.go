package shutdown_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/grove-go/grove/shutdown"
)

// serviceVariable makes the test binary one of the services.
const serviceVariable = "GROVE_SHUTDOWN_TEST_SERVICE"

// service is an app in a process of its own, which prints what it does on lines of its standard output.
type service struct {
	*shutdown.App
	then func() // called when Run has returned, if it is not nil
}

var services = map[string]func(*service) error{
	// echo prints its address and echoes what it is sent.
	"echo": func(s *service) error {
		ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.Add(shutdown.HTTP("http", &http.Server{Handler: http.HandlerFunc(echo)}, ln))
		s.says("address", shutdown.Intake, ln.Addr())
		return nil
	},
	// patient takes its time to stop, and tells when a signal is no echo of the one before.
	"patient": func(s *service) error {
		s.says("ready", shutdown.Announce, "ready")
		s.Add(shutdown.Component{Name: "patient", Phase: shutdown.Work, Stop: func(ctx context.Context) error {
			fmt.Println("stopping")
			if !passes(ctx, 600*time.Millisecond) {
				fmt.Println("hurried at once")
				return nil
			}
			fmt.Println("half a second later")
			if passes(ctx, 10*time.Second) {
				fmt.Println("nobody hurries")
			}
			return nil
		}})
		s.Add(shutdown.Component{Name: "db", Stop: func(context.Context) error { fmt.Println("closed"); return nil }})
		return nil
	},
	// brief stops within a second.
	"brief": func(s *service) error {
		s.says("ready", shutdown.Announce, "ready")
		s.Add(shutdown.Component{Name: "brief", Stop: func(ctx context.Context) error {
			fmt.Println("stopping")
			fmt.Println("in good order:", passes(ctx, 400*time.Millisecond))
			return nil
		}})
		return nil
	},
	// starting does not get to the end of its start.
	"starting": func(s *service) error {
		s.Add(shutdown.Component{Name: "db", Stop: func(context.Context) error { fmt.Println("closed"); return nil }})
		s.Add(shutdown.Component{Name: "index", Phase: shutdown.Work, Start: func(ctx context.Context) error {
			fmt.Println("starting")
			<-ctx.Done()
			return ctx.Err()
		}})
		s.says("ready", shutdown.Announce, "ready")
		return nil
	},
	// stuck never stops.
	"stuck": func(s *service) error {
		s.says("ready", shutdown.Announce, "ready")
		s.Add(shutdown.Component{Name: "queue", Phase: shutdown.Work, Stop: func(context.Context) error {
			fmt.Println("stopping")
			trap(nil).waitForever()
			return nil
		}})
		return nil
	},
	// stubborn never stops, and tells when a signal is no echo of the one before.
	"stubborn": func(s *service) error {
		s.says("ready", shutdown.Announce, "ready")
		s.Add(shutdown.Component{Name: "queue", Phase: shutdown.Intake, Stop: func(context.Context) error {
			go func() {
				for range 2 {
					passes(context.Background(), 600*time.Millisecond)
					fmt.Println("half a second later")
				}
			}()
			trap(nil).waitForever()
			return nil
		}})
		return nil
	},
	// over goes on for a while when its app has stopped.
	"over": func(s *service) error {
		s.Add(shutdown.Component{Name: "job", Run: func(context.Context) error { return nil }})
		s.then = func() {
			fmt.Println("over")
			passes(context.Background(), 10*time.Second)
		}
		return nil
	},
	// broken panics.
	"broken": func(s *service) error {
		s.Add(shutdown.Component{Name: "worker", Phase: shutdown.Work, Run: func(context.Context) error { panic("out of cheese") }})
		s.Add(shutdown.Component{Name: "db", Stop: func(context.Context) error { fmt.Println("closed"); return nil }})
		return nil
	},
}

// says adds a component that prints something when it starts.
func (s *service) says(name string, phase shutdown.Phase, what any) {
	s.Add(shutdown.Component{Name: name, Phase: phase, Start: func(context.Context) error {
		_, err := fmt.Println(what)
		return err
	}})
}

// passes waits, and reports whether that was not ended by ctx.
func passes(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func runService(build func(*service) error) error {
	app, err := shutdown.New(shutdown.Config{Timeout: 4 * time.Second})
	if err != nil {
		return err
	}
	s := &service{App: app}
	if err := build(s); err != nil {
		return err
	}
	err = app.Run(context.Background())
	if s.then != nil {
		s.then()
	}
	return err
}
