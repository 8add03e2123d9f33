package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a server of its own. Without the race detector it is fast enough for the load on a machine that has other
// things to do as well.
type process struct {
	*output
	cmd  *exec.Cmd
	url  string
	temp string // where it has its temporary files
}

// built has the server in it, as users build it, once build has been called. TestMain removes it.
var (
	built string
	build = sync.OnceValue(func() (err error) {
		if built, err = os.MkdirTemp("", "grove-search-test-"); err != nil {
			return err
		}
		out, err := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", built, ".").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
)

// startProcess starts the server on ports of its own.
func startProcess(t *testing.T) *process {
	t.Helper()
	require.NoError(t, build())
	p := &process{temp: t.TempDir()}
	p.cmd = exec.CommandContext(t.Context(), filepath.Join(built, "search"), "-addr", "127.0.0.1:0", "-debug", "127.0.0.1:0")
	p.cmd.Env = []string{"TMPDIR=" + p.temp}
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	p.output = newOutput(stderr)
	t.Cleanup(func() {
		p.cmd.Process.Kill() //nolint:errcheck // it has ended if the test went well
		p.wait()             //nolint:errcheck // as above
	})
	p.url = p.await(t, servingLine)[1]
	return p
}

// wait waits for the end of the process.
func (p *process) wait() error {
	p.copied.Wait()
	return p.cmd.Wait()
}

// connect sends what has no end, and perhaps more than the process takes, after a request that it has answered in part.
func (p *process) connect(t *testing.T, requests string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
	require.NoError(t, err)
	var writing sync.WaitGroup
	writing.Go(func() { _, _ = io.WriteString(conn, requests) })
	t.Cleanup(func() {
		conn.Close() //nolint:errcheck // the process has closed it
		writing.Wait()
	})
	_, err = io.ReadFull(conn, make([]byte, 100))
	require.NoError(t, err)
}

// A request, and one whose end is missing.
const (
	whole = "GET /script.js HTTP/1.1\r\nHost: x\r\n\r\n"
	half  = "GET /search?q=snow HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
)

func TestClientsThatSendNoEndOrTakeNoAnswerDoNotHoldUpAStop(t *testing.T) {
	p := startProcess(t)
	p.connect(t, whole+"GET /search?q=snow HTTP/1.1\r\n")
	p.connect(t, whole+half)
	p.connect(t, strings.Repeat(whole, 10_000))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.wait(), p)
}

func TestASecondSignalHurries(t *testing.T) {
	p := startProcess(t)
	p.connect(t, whole+half)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.await(t, stoppingLine)
	<-time.After(600 * time.Millisecond) // one that follows sooner is taken for the echo of the first
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	var exit *exec.ExitError
	require.ErrorAs(t, p.wait(), &exit, "the client had more time than that")
	require.Equal(t, 124, exit.ExitCode(), p)
}

// load is what became of requests.
type load struct{ served, late, refused, lost atomic.Int64 }

// send sends a request. It is lost if it was sent and not answered; late if the answer was that its budget ran out or
// that the server is too busy, as may happen on a machine that is; and refused if it could not be sent because nobody
// listens any more.
func (l *load) send(t *testing.T, client *http.Client, url string) {
	sent := false
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) { sent = sent || info.Err == nil },
	}), http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
		return
	}
	resp, err := client.Do(request)
	status, body := 0, []byte(nil)
	if err == nil {
		status = resp.StatusCode
		body, err = io.ReadAll(resp.Body)
		err = errors.Join(err, resp.Body.Close())
	}
	switch {
	case err == nil && status == http.StatusOK:
		l.served.Add(1)
	case err == nil && (status == http.StatusGatewayTimeout || strings.Contains(string(body), "too busy")):
		l.late.Add(1)
	case !sent && errors.Is(err, syscall.ECONNREFUSED):
		l.refused.Add(1)
	default:
		l.lost.Add(1)
		t.Logf("lost: status %d, %v\n%s", status, err, body)
	}
}

// TestSIGTERMUnderLoadLosesNoRequest has four clients that keep their connections and one that does not, which send 200
// requests a second between them for three seconds. The signal comes in the middle.
func TestSIGTERMUnderLoadLosesNoRequest(t *testing.T) {
	p := startProcess(t)
	const clients, each, pause = 5, 120, 25 * time.Millisecond
	var l load
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			transport := &http.Transport{DisableKeepAlives: c == 0}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			tick := time.NewTicker(pause)
			defer tick.Stop()
			var pending sync.WaitGroup
			defer pending.Wait()
			for i := range each {
				url := fmt.Sprintf("%s/search?q=snow&limit=%d", p.url, 1+i%50)
				pending.Go(func() { l.send(t, client, url) })
				if c == 0 && i == each/2 {
					if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
						t.Error(err)
					}
				}
				<-tick.C
			}
		})
	}
	running.Wait()
	t.Logf("served %d, late %d, refused %d", l.served.Load(), l.late.Load(), l.refused.Load())
	require.Zero(t, l.lost.Load())
	require.Greater(t, l.served.Load()+l.late.Load(), int64(clients*each/4))
	require.Positive(t, l.refused.Load())

	require.NoError(t, p.wait(), p)
	require.Contains(t, p.String(), "stopped")
	left, err := os.ReadDir(p.temp)
	require.NoError(t, err)
	require.Empty(t, left)
}
