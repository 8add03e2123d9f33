package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// Start starts a server with GOMAXPROCS 1 and waits until it writes url=http://… to its standard error, which it copies to
// stderr. Without taskset nobody is kept to any processor. The server is killed when ctx ends, and by [Process.Stop].
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

// Undisturbed is up to which share of the server's or the generator's processor others may take without changing what it
// can do, and Steady by which share a machine that shares its processors with other machines may become slower or faster.
const (
	Undisturbed = 0.08
	Steady      = 0.15
)

// A Relative is a load relative to what a server can do.
type Relative struct {
	// Share of what Reference does, a process of the same server that refuses nothing, when 16 clients always wait for
	// an answer each. That is measured for a second before the load and for another one after it.
	Share     float64
	Reference *Process
	Requests  func(*Process) Request
	// Config is the step; its Rate is set.
	Config Config
}

// Measure is [Run] with a relative load, undisturbed if that happens within patience: while others keep the machine busy it
// waits, and when they took more than [Undisturbed] meanwhile, or the machine was not [Steady], it tries again. Of several
// attempts it returns the least disturbed. Result.Capacity is what the server could do, and Result.Intruders and
// Result.Drift tell how far that is true.
func (p *Process) Measure(ctx context.Context, client *http.Client, load Relative, patience time.Duration) (best Result, err error) {
	capacity := func() (float64, error) { return saturate(ctx, client, load.Requests(load.Reference), time.Second) }
	least := math.Inf(1)
	for began := time.Now(); ; {
		if err := settle(ctx, patience-time.Since(began)); err != nil {
			return best, err
		}
		before, err := capacity()
		if err != nil {
			return best, err
		}
		load.Config.Rate = load.Share * before
		intruders := p.intruders()
		r, err := Run(ctx, client, load.Requests(p), load.Config)
		if err != nil {
			return best, err
		}
		r.Intruders = intruders()
		if err := settle(ctx, 2*time.Second); err != nil { // what is left of an overload
			return best, err
		}
		after, err := capacity()
		if err != nil {
			return best, err
		}
		r.Capacity, r.Drift = (before+after)/2, (after-before)/(after+before)*2
		disturbance := max(r.Intruders/Undisturbed, math.Abs(r.Drift)/Steady)
		if disturbance < least {
			best, least = r, disturbance
		}
		if least <= 1 || time.Since(began) > patience {
			return best, nil
		}
	}
}

// Fair reports whether nothing that is known of has disturbed the step.
func (r Result) Fair() bool { return r.Intruders <= Undisturbed && math.Abs(r.Drift) <= Steady }

// saturate returns how many requests a second are accepted when 16 clients always wait for an answer each, over d.
func saturate(ctx context.Context, client *http.Client, request Request, d time.Duration) (float64, error) {
	var next, done atomic.Int64
	var clients sync.WaitGroup
	end := time.Now().Add(d)
	for range 16 {
		clients.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				r, err := request(ctx, int(next.Add(1)))
				if err == nil && send(client, r, end) == accepted {
					done.Add(1)
				}
			}
		})
	}
	clients.Wait()
	if done.Load() == 0 {
		return 0, errors.New("load: nothing is accepted")
	}
	return float64(done.Load()) / d.Seconds(), context.Cause(ctx)
}

// settle waits until the first two processors are nearly idle, but no longer than patience.
func settle(ctx context.Context, patience time.Duration) error {
	const glance = 200 * time.Millisecond
	for began := time.Now(); time.Since(began) < patience; {
		busy := [2]int{busyTicks(0), busyTicks(1)}
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if max(busyTicks(0)-busy[0], busyTicks(1)-busy[1]) <= int(glance/tick)/10 {
			return nil
		}
	}
	return nil
}

// tick is the unit of the kernel's interface, whatever it counts in inside.
const tick = 10 * time.Millisecond

// intruders begins to measure which share of the server's processor or the generator's others take, and returns a function
// that tells the larger one. It is 0 where the system does not say.
func (p *Process) intruders() func() float64 {
	server, generator := intruders(0, p.cmd.Process.Pid), intruders(1, os.Getpid())
	return func() float64 { return max(server(), generator()) }
}

// intruders begins to measure which share of a processor others than a process take, which keeps to it.
func intruders(processor, pid int) func() float64 {
	began, busy, own := time.Now(), busyTicks(processor), ticks(pid)
	return func() float64 {
		nowBusy, nowOwn := busyTicks(processor), ticks(pid)
		if min(busy, own, nowBusy, nowOwn) < 0 {
			return 0
		}
		return max(0, float64(time.Duration((nowBusy-busy)-(nowOwn-own))*tick)/float64(time.Since(began)))
	}
}

// busyTicks is for how long a processor has been busy, -1 if nothing tells.
func busyTicks(processor int) int {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(stat)) {
		if f := strings.Fields(line); len(f) > 8 && f[0] == fmt.Sprintf("cpu%d", processor) {
			return sum(f[1], f[2], f[3], f[6], f[7], f[8]) // user, nice, system, irq, softirq, steal
		}
	}
	return -1
}

// ticks is for how long a process has computed, -1 if nothing tells.
func ticks(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
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
