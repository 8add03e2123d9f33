//go:build unix

package shutdown_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a service in a process of its own.
type process struct {
	*exec.Cmd
	t      *testing.T
	out    *bufio.Reader
	stderr bytes.Buffer
}

// command is a service that can be started.
func command(t *testing.T, service string, before ...string) *process {
	t.Helper()
	args := append(before, os.Args[0])
	p := &process{Cmd: exec.CommandContext(t.Context(), args[0], args[1:]...), t: t}
	p.Env = append(os.Environ(), serviceVariable+"="+service)
	p.Stderr = &p.stderr
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewReader(out)
	return p
}

func (p *process) start() *process {
	p.t.Helper()
	require.NoError(p.t, p.Start())
	return p
}

// line returns what the service prints next.
func (p *process) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	require.NoError(p.t, err, "%s", &p.stderr)
	return strings.TrimSpace(line)
}

func (p *process) requireLines(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		require.Equal(p.t, line, p.line())
	}
}

func (p *process) terminate() {
	p.t.Helper()
	require.NoError(p.t, p.Process.Signal(syscall.SIGTERM))
}

// requireExit waits for the end of the process, which prints nothing more.
func (p *process) requireExit(code int) {
	p.t.Helper()
	rest, err := io.ReadAll(p.out)
	require.NoError(p.t, err)
	require.Empty(p.t, string(rest))

	_ = p.Wait()
	require.Equal(p.t, code, p.ProcessState.ExitCode(), "%s\n%s", p.ProcessState, &p.stderr)
}

// requireNothingLost has 16 clients send requests to an echo, which is then told to stop.
func (p *process) requireNothingLost(client *http.Transport) {
	p.t.Helper()
	l := startLoad(p.t.Context(), "http://"+p.line(), client, 500)
	<-l.enough
	stopped := time.Now()
	p.terminate()
	p.requireExit(0)
	l.requireNothingLost(p.t, stopped)
}

func TestProcessEndsOnSIGTERMUnderLoadAndLosesNothing(t *testing.T) {
	for _, client := range []*http.Transport{{}, {DisableKeepAlives: true}} {
		command(t, "echo").start().requireNothingLost(client)
	}
}

func TestProcessWithoutStandardInputLosesNothingEither(t *testing.T) {
	// The first descriptor that it opens is 0.
	command(t, "echo", "/bin/sh", "-c", `exec "$0" <&-`).start().requireNothingLost(&http.Transport{})
}

func TestProcessWhoseLogNobodyReadsAnyMoreStopsInGoodOrder(t *testing.T) {
	p := command(t, "brief")
	log, write, err := os.Pipe()
	require.NoError(t, err)
	p.Stderr = write
	p.start()
	require.NoError(t, write.Close())
	p.requireLines("ready")
	require.NoError(t, log.Close())
	p.terminate()
	p.requireLines("stopping", "in good order: true")
	p.requireExit(0)
}

func TestSecondSignalHurriesTheProcess(t *testing.T) {
	p := command(t, "patient").start()
	p.requireLines("ready")
	p.terminate()
	p.requireLines("stopping", "half a second later")
	p.terminate()
	p.requireLines("closed")
	p.requireExit(0)
	require.Contains(t, p.stderr.String(), "hurrying")
	require.Contains(t, p.stderr.String(), "patient.Stop")
}

func TestSignalThatComesTwiceAtOnceDoesNotHurryTheProcess(t *testing.T) {
	p := command(t, "brief").start()
	p.requireLines("ready")
	p.terminate()
	p.requireLines("stopping")
	p.terminate()
	require.NoError(t, p.Process.Signal(os.Interrupt))
	p.requireLines("in good order: true")
	p.requireExit(0)
}

func TestThirdSignalEndsTheProcessWithTheReport(t *testing.T) {
	p := command(t, "stubborn").start()
	p.requireLines("ready")
	p.terminate()
	p.requireLines("half a second later")
	p.terminate()
	p.requireLines("half a second later")
	require.NoError(t, p.Process.Signal(os.Interrupt))
	p.requireExit(130)
	requireNamesTheTrap(t, p.stderr.String())
}

func TestSignalsHaveTheirDefaultActionAgainWhenRunHasReturned(t *testing.T) {
	p := command(t, "over").start()
	p.requireLines("over")
	p.terminate()
	p.requireExit(-1)
	require.Equal(t, syscall.SIGTERM, p.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

func TestSIGTERMDuringTheStartRollsBack(t *testing.T) {
	p := command(t, "starting").start()
	p.requireLines("starting")
	p.terminate()
	p.requireLines("closed")
	p.requireExit(0)
}

// requireNamesTheTrap requires that a report tells the line of the trap.
func requireNamesTheTrap(t *testing.T, report string) {
	t.Helper()
	require.Contains(t, report, "queue")
	require.Contains(t, report, "shutdown_test.trap.waitForever")
	require.Contains(t, report, "failure_test.go:")
}

func TestProcessWhoseHookNeverReturnsExitsWithTheLineThatHangs(t *testing.T) {
	p := command(t, "stuck").start()
	p.requireLines("ready")
	p.terminate()
	p.requireLines("stopping")
	p.requireExit(124)
	_, report, ok := strings.Cut(p.stderr.String(), "\nshutdown: signal terminated\nqueue (Work): Stop is stuck after ")
	require.True(t, ok, p.stderr.String())
	requireNamesTheTrap(t, "queue"+report)
}

func TestProcessWhoseRunPanicsStopsTheOthersAndExitsWithTheStack(t *testing.T) {
	p := command(t, "broken").start()
	p.requireLines("closed")
	p.requireExit(1)
	require.Contains(t, p.stderr.String(), "panic in worker.Run: out of cheese")
	require.Contains(t, p.stderr.String(), "service_test.go:")
}
