//go:build unix

// Command lag makes a server late in one way after another and prints, for each, what an HTTP client in another process
// really waited beside what looplag and others say about it.
//
//	go run ./internal/bench/cmd/lag [-storm regexp] [-cpu 1,2] [-warm 1.5s] [-for 10s]
//
// It starts itself twice for each storm: as the server, which is made late and measures itself, and as the client, which
// sends requests at random moments over connections that are open already. Quantiles of a column are of the same seconds
// in both. A storm takes -warm and -for, and the time until its last request is answered; those in which requests wait for
// seconds take ten times -for, or the medians would stand on a handful of them. With the defaults that is ten minutes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "lag:", err)
		os.Exit(1)
	}
}

// A plan is when to measure, and how many requests a second to send.
type plan struct {
	warm, length time.Duration
	rate         float64
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("lag", flag.ContinueOnError)
	flags.SetOutput(stderr)
	filter := flags.String("storm", "", "only storms whose name matches this `regexp`")
	cpu := flags.String("cpu", "1,2", "run with each of these `values` of GOMAXPROCS")
	var p plan
	flags.DurationVar(&p.warm, "warm", 1500*time.Millisecond, "measure from this time on")
	flags.DurationVar(&p.length, "for", 10*time.Second, "measure for so long")
	flags.Float64Var(&p.rate, "rate", 4, "send so many requests a second; for this command itself")
	serve := flags.String("serve", "", "be the server and make it late by `storm`; for this command itself")
	load := flags.String("load", "", "be the client of this `address`; for this command itself")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.warm < time.Second || p.length < time.Second {
		return errors.New("-warm and -for must be at least 1s")
	}
	match, err := regexp.Compile(*filter)
	if err != nil {
		return fmt.Errorf("-storm: %w", err)
	}
	switch {
	case *serve != "":
		return server(*serve, p, stdin, stdout)
	case *load != "":
		return client(*load, p, stdout)
	}
	var rows []row
	for _, s := range storms {
		if !match.MatchString(s.name) {
			continue
		}
		for procs := range strings.SplitSeq(*cpu, ",") {
			if _, err := strconv.Atoi(procs); err != nil {
				return fmt.Errorf("-cpu: %w", err)
			}
			r, err := measure(s, procs, p, stderr)
			if err != nil {
				return fmt.Errorf("%s on %s processors: %w", s.name, procs, err)
			}
			rows = append(rows, r)
		}
	}
	return write(stdout, rows)
}

// A row is what was measured in a storm.
type row struct {
	storm  storm
	procs  string
	server serverReport
	client clientReport
}

// measure runs a storm.
func measure(s storm, procs string, p plan, stderr io.Writer) (r row, err error) {
	r.storm, r.procs = s, procs
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	if s.slow {
		p.length, p.rate = 10*p.length, 0.5
	}
	start := func(args ...string) (*process, error) {
		args = append(args, "-warm", p.warm.String(), "-for", p.length.String(), "-rate", fmt.Sprint(p.rate))
		return startProcess(exec.CommandContext(context.Background(), self, args...), procs, stderr)
	}
	srv, err := start("-serve", s.name)
	if err != nil {
		return r, err
	}
	defer srv.end()
	var addr string
	if err := srv.receive(&addr); err != nil {
		return r, err
	}
	cl, err := start("-load", addr)
	if err != nil {
		return r, err
	}
	defer cl.end()
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if s.outside != nil {
			s.outside(srv.cmd.Process, done)
		}
	}()
	err = errors.Join(srv.receive(&r.server), cl.receive(&r.client))
	close(done)
	<-stopped
	return r, err
}

// A process is this command in another role, which writes values in JSON and ends with its standard input.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *json.Decoder
}

func startProcess(cmd *exec.Cmd, procs string, stderr io.Writer) (*process, error) {
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+procs)
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd: cmd, stdin: stdin, out: json.NewDecoder(bufio.NewReader(stdout))}, nil
}

func (p *process) receive(v any) error { return p.out.Decode(v) }

// end ends the process: nothing of it is needed any more, and one that is late would take its time.
func (p *process) end() {
	p.stdin.Close()      //nolint:errcheck // the process may have ended already
	p.cmd.Process.Kill() //nolint:errcheck // likewise
	p.cmd.Wait()         //nolint:errcheck // it was killed
}

// stopAndGo stops a process for most of the time, until done is closed.
func stopAndGo(p *os.Process, done <-chan struct{}) {
	defer p.Signal(syscall.SIGCONT) //nolint:errcheck // it may have ended already
	for sig := syscall.SIGSTOP; ; {
		p.Signal(sig) //nolint:errcheck // likewise
		select {
		case <-time.After(300 * time.Millisecond):
		case <-done:
			return
		}
		if sig == syscall.SIGSTOP {
			sig = syscall.SIGCONT
		} else {
			sig = syscall.SIGSTOP
		}
	}
}
