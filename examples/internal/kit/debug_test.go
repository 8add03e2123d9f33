package kit_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/internal/kit"
	"github.com/grove-go/grove/shutdown"
)

// client has connections of its own, which it closes with the test.
func client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, url string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := c.Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, body
}

func TestDebugIsThereFromTheStartToTheEnd(t *testing.T) {
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + ln.Addr().String()
	c := client(t)

	app, err := shutdown.New(shutdown.Config{Signals: []os.Signal{}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	check := func(ready int) {
		code, _ := get(t, c, url+"/livez")
		require.Equal(t, http.StatusOK, code)
		code, _ = get(t, c, url+"/readyz")
		require.Equal(t, ready, code)
	}
	telemetry, err := kit.NewTelemetry(slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	app.Add(
		telemetry.Component(),
		kit.Debug(app, ln, telemetry),
		shutdown.Component{
			Name:  "first",
			Start: func(context.Context) error { check(http.StatusServiceUnavailable); return nil },
			Run: func(context.Context) error {
				code, body := get(t, c, url+"/debug/grove")
				require.Equal(t, http.StatusOK, code)
				require.Contains(t, string(body), "GROUPS")
				code, body = get(t, c, url+"/metrics")
				require.Equal(t, http.StatusOK, code)
				require.Contains(t, string(body), "grove_panics_total")
				code, body = get(t, c, url+"/debug/pprof/goroutine?debug=1")
				require.Equal(t, http.StatusOK, code)
				require.Contains(t, string(body), "goroutine profile")
				app.Shutdown(nil)
				return nil
			},
			Stop: func(context.Context) error { check(http.StatusServiceUnavailable); return nil },
		},
	)
	require.NoError(t, app.Run(t.Context()))
	_, err = new(net.Dialer).DialContext(t.Context(), "tcp", ln.Addr().String())
	require.Error(t, err)
}
