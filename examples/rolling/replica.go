package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/grove-go/grove/shutdown"
)

// replica is a server in a process of its own, at an address that does not change.
type replica struct {
	name, addr string
	command    func(ctx context.Context) *exec.Cmd

	process *exec.Cmd
	log     strings.Builder // what it has printed; read after copied
	copied  sync.WaitGroup
}

type replicas []*replica

// startReplicas starts two search servers and two servers of events, or returns those that have started with the error.
func startReplicas(ctx context.Context, dir string) (replicas, error) {
	binary := filepath.Join(dir, "search")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", binary, "github.com/grove-go/grove/examples/search")
	build.Env = append(os.Environ(), "GOTMPDIR="+dir) // which is removed, also when ctx ends the build
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var all replicas
	for range 2 {
		// Not 127.0.0.1: while a replica is down its port could become that of somebody's connection from there.
		for _, name := range []string{"search", "events"} {
			addr, err := freeAddr(ctx, "127.0.0.2")
			if err != nil {
				return all, err
			}
			r := &replica{name: name, addr: addr}
			r.command = func(ctx context.Context) *exec.Cmd {
				if name == "search" {
					// What a busy machine would refuse is not what a restart has lost.
					return exec.CommandContext(ctx, binary, "-addr", addr, "-debug", "127.0.0.2:0", "-shed=false")
				}
				cmd := exec.CommandContext(ctx, self)
				cmd.Env = append(os.Environ(), eventsVariable+"="+addr)
				return cmd
			}
			if err := r.start(ctx); err != nil {
				return all, err
			}
			all = append(all, r)
		}
	}
	return all, nil
}

// freeAddr returns an address at which nobody listens.
func freeAddr(ctx context.Context, host string) (string, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", host+":0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// start starts the process and returns when it serves.
func (r *replica) start(ctx context.Context) error {
	r.log.Reset()
	r.process = r.command(context.WithoutCancel(ctx)) // it ends with stop or end
	out, err := r.process.StderrPipe()
	if err != nil {
		return err
	}
	if err := r.process.Start(); err != nil {
		return err
	}
	serving := make(chan bool, 1)
	r.copied.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.log.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "msg=serving") {
				serving <- true
			}
		}
		close(serving)
	})
	if !<-serving {
		return fmt.Errorf("%s does not start: %w", r.name, r.stop())
	}
	return nil
}

// stop asks the process to stop, and returns an error unless it does so in good order.
func (r *replica) stop() error {
	err := r.process.Process.Signal(syscall.SIGTERM)
	r.copied.Wait()
	if err = errors.Join(err, r.process.Wait()); err != nil {
		return fmt.Errorf("%s: %w\n%s", r.name, err, &r.log)
	}
	return nil
}

func (r *replica) restart(ctx context.Context) error {
	if err := r.stop(); err != nil {
		return err
	}
	return r.start(ctx)
}

func (all replicas) stop() error {
	errs := make([]error, len(all))
	for i, r := range all {
		errs[i] = r.stop()
	}
	return errors.Join(errs...)
}

// patience is how long the processes that are left may take to stop before they are killed. The events take a second.
const patience = 10 * time.Second

// end ends the processes that have not ended: in good order, so that they leave no files behind, or else by force.
func (all replicas) end() {
	var running replicas
	for _, r := range all {
		if r.process.Process != nil && r.process.ProcessState == nil {
			running = append(running, r)
			r.process.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it has ended by itself, then
		}
	}
	impatient := time.AfterFunc(patience, func() {
		for _, r := range running {
			r.process.Process.Kill() //nolint:errcheck // as above
		}
	})
	defer impatient.Stop()
	for _, r := range running {
		r.copied.Wait()
		r.process.Wait() //nolint:errcheck // how it has ended is no longer of interest
	}
}

const (
	// eventsVariable has the address at which this program is a server of events.
	eventsVariable = "GROVE_ROLLING_EVENTS"
	// farewell is the last line of a stream.
	farewell = "data: come again"
)

// serveEvents serves streams that have no end of their own.
func serveEvents(ctx context.Context, addr string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	// A stream began before the stop, so its answer did not say that the connection closes behind it: the proxy, which keeps
	// it, has to come with another request to learn that.
	app, err := shutdown.New(shutdown.Config{Logger: log, DrainDelay: time.Second})
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	app.Add(
		shutdown.HTTP("http", &http.Server{Handler: http.HandlerFunc(events), ReadHeaderTimeout: 5 * time.Second}, ln),
		shutdown.Component{Name: "announcement", Phase: shutdown.Announce, Start: func(context.Context) error {
			log.Info("serving")
			return nil
		}},
	)
	return app.Run(ctx)
}

// events writes an event now and then until its client leaves or the server stops.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprint(w, "data: still here\n\n") //nolint:errcheck // Flush tells
		case <-shutdown.Stopping(r.Context()):
			fmt.Fprint(w, farewell, "\n\n") //nolint:errcheck // it was a farewell
			return
		}
		if out.Flush() != nil {
			return
		}
	}
}
