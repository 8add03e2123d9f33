package main_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startProcess builds the server as its users do and starts it as a process of its own, which has dir for temporary files.
// Without the race detector it is fast enough for the load on a machine that has other things to do as well.
func startProcess(t *testing.T, dir string) (*exec.Cmd, *output) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "search")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, string(built))

	cmd := exec.CommandContext(t.Context(), binary, "-addr", "127.0.0.1:0", "-debug", "127.0.0.1:0")
	cmd.Env = []string{"TMPDIR=" + dir}
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	o := newOutput(stderr)
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it has ended if the test went well
		o.copied.Wait()
		cmd.Wait() //nolint:errcheck // as above
	})
	<-o.serving
	require.NotEmpty(t, o.url, "the server does not start:\n%s", o)
	return cmd, o
}

// load is what became of requests.
type load struct{ served, late, refused, lost atomic.Int64 }

// send sends a request. It is lost if it was sent and not answered; late if the answer was that its budget ran out, as
// may happen on a busy machine; and refused if it could not be sent because nobody listens any more.
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
	status := 0
	if err == nil {
		status = resp.StatusCode
		_, err = io.Copy(io.Discard, resp.Body)
		err = errors.Join(err, resp.Body.Close())
	}
	switch {
	case err == nil && status == http.StatusOK:
		l.served.Add(1)
	case err == nil && status == http.StatusGatewayTimeout:
		l.late.Add(1)
	case !sent && errors.Is(err, syscall.ECONNREFUSED):
		l.refused.Add(1)
	default:
		l.lost.Add(1)
		t.Logf("lost: status %d, %v", status, err)
	}
}

// TestSIGTERMUnderLoadLosesNoRequest has four clients that keep their connections and one that does not, which send 200
// requests a second between them for three seconds. The signal comes in the middle.
func TestSIGTERMUnderLoadLosesNoRequest(t *testing.T) {
	dir := t.TempDir()
	cmd, o := startProcess(t, dir)
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
				url := fmt.Sprintf("%s/search?q=snow&limit=%d", o.url, 1+i%50)
				pending.Go(func() { l.send(t, client, url) })
				if c == 0 && i == each/2 {
					if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
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
	require.Greater(t, l.served.Load(), int64(clients*each/4))
	require.Positive(t, l.refused.Load())

	o.copied.Wait()
	require.NoError(t, cmd.Wait(), o)
	require.Contains(t, o.String(), "stopped")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
