package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Process is a server under load, on the first processor of the machine. The process that starts it, which has the
// generator, keeps to the second one, so that what the server cannot do any more is for want of its own processor and
// not because its clients compete for it.
type Process struct {
	URL string // as the server tells it

	cmd    *exec.Cmd
	copied sync.WaitGroup
}

var announced = regexp.MustCompile(`url=(http://\S+)`)

// Start starts a server with GOMAXPROCS 1 and waits until it writes url=http://… to its standard error, which it copies
// to stderr. Without taskset nobody is kept to any processor. The server is killed when ctx ends, and by [Process.Stop].
func Start(ctx context.Context, stderr io.Writer, command ...string) (*Process, error) {
	if taskset, err := exec.LookPath("taskset"); err == nil {
		command = append([]string{taskset, "-c", "0"}, command...)
		self := exec.CommandContext(ctx, taskset, "-a", "-p", "-c", "1", strconv.Itoa(os.Getpid()))
		if out, err := self.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("load: taskset: %w: %s", err, out)
		}
	}
	p := &Process{cmd: exec.CommandContext(ctx, command[0], command[1:]...)}
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	p.cmd.WaitDelay = time.Second
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	lines := bufio.NewReader(out)
	for p.URL == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			p.Stop()
			return nil, fmt.Errorf("load: %s does not serve: %w", strings.Join(command, " "), err)
		}
		io.WriteString(stderr, line) //nolint:errcheck // as below
		if m := announced.FindStringSubmatch(line); m != nil {
			p.URL = m[1]
		}
	}
	p.copied.Go(func() { io.Copy(stderr, lines) }) //nolint:errcheck // it ends with the server
	return p, nil
}

// Stop kills the server and waits for its end.
func (p *Process) Stop() {
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended
	p.copied.Wait()
	p.cmd.Wait() //nolint:errcheck // it was killed
}

// Intruders begins to measure which share of the server's processor others take, and returns a function that tells
// it. It is negative where the system does not say.
func (p *Process) Intruders() func() float64 {
	began, busy, own := time.Now(), busyTicks(), p.ticks()
	return func() float64 {
		nowBusy, nowOwn := busyTicks(), p.ticks()
		if min(busy, own, nowBusy, nowOwn) < 0 {
			return -1
		}
		const tick = 10 * time.Millisecond // of the kernel's interface, whatever it counts in inside
		return float64(time.Duration((nowBusy-busy)-(nowOwn-own))*tick) / float64(time.Since(began))
	}
}

// busyTicks is for how long the first processor has been busy, -1 if nothing tells.
func busyTicks() int {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(stat)) {
		if f := strings.Fields(line); len(f) > 8 && f[0] == "cpu0" {
			return sum(f[1], f[2], f[3], f[6], f[7], f[8]) // user, nice, system, irq, softirq, steal
		}
	}
	return -1
}

// ticks is for how long the server has computed, -1 if nothing tells.
func (p *Process) ticks() int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return -1
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may have spaces
	if f := strings.Fields(after); len(f) > 12 {
		return sum(f[11], f[12]) // user, system
	}
	return -1
}

func sum(numbers ...string) (total int) {
	for _, s := range numbers {
		n, err := strconv.Atoi(s)
		if err != nil {
			return -1
		}
		total += n
	}
	return total
}
