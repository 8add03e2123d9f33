package observe_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/shutdown"
	"github.com/grove-go/grove/taskgroup"
)

// site serves the page of o.
type site struct {
	*httptest.Server
	t *testing.T
}

func newSite(t *testing.T, o *observe.Observer) *site {
	t.Helper()
	s := &site{httptest.NewServer(o.Handler()), t}
	t.Cleanup(s.Close)
	return s
}

// ask sends a request whose headers are names and values in turn.
func (s *site) ask(method string, form url.Values, headers ...string) (status int, body string, header http.Header) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL, strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := s.Client().Transport.RoundTrip(req)
	require.NoError(s.t, err)
	defer resp.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp.StatusCode, string(text), resp.Header
}

func (s *site) get(accept string) string {
	s.t.Helper()
	status, body, header := s.ask(http.MethodGet, nil, "Accept", accept)
	require.Equal(s.t, http.StatusOK, status, body)
	require.Equal(s.t, "no-store", header.Get("Cache-Control"))
	return body
}

// state is what the tests read of the page's JSON.
type state struct {
	Process struct {
		Descriptors struct{ Open, Sockets, Limit int }
	}
	Lints []struct{ Code, About, Text string }
	Lag   struct {
		Running bool
		Delays  []struct{ Name string }
		Loops   []struct{ Name string }
		Curves  []struct{ Values []float64 }
	}
	Groups struct {
		Live, Shown int
		Trees       []group
	}
	Executors []struct {
		Name           string
		Running        int
		Abandoned      int
		Refused, Ended map[string]int
	}
	Shutdown struct {
		State      string
		Components []struct{ Name, State string }
	}
	Failed []struct{ Name, Outcome, Error string } `json:"failed_groups"`
	Ended  []struct {
		Name, Outcome string
		Stopping      float64
	} `json:"ended_groups"`
}

type group struct {
	ID                  uint64
	Name, At, Cause, By string
	Left, Canceled      *float64
	Queued, Running     int
	More                int `json:"more_tasks"`
	Tasks               []struct {
		Name, At   string
		Count      int
		Background bool
	}
	Groups []group
}

func (s *site) state() (st state) {
	s.t.Helper()
	require.NoError(s.t, json.Unmarshal([]byte(s.get("application/json")), &st))
	return st
}

// waitFor asks until ok is satisfied with what the page tells.
func (s *site) waitFor(ok func(state) bool) state {
	s.t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for range 400 {
		if st := s.state(); ok(st) {
			return st
		}
		<-ticker.C
	}
	require.Fail(s.t, "the page never showed it")
	return state{}
}

// world is one of everything, at work.
func world(t *testing.T, o *observe.Observer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(o.Context(t.Context()), 90*time.Minute)
	outer := taskgroup.New(ctx, taskgroup.Name("import"), taskgroup.Limit(2))
	outer.Go(func(ctx context.Context) error {
		return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			for range 3 {
				g.Go(untilDone)
			}
			return nil
		}, taskgroup.Name("<rows>"))
	})
	outer.Start(taskgroup.Task{Name: "beat", Background: true, Func: untilDone})
	outer.Go(untilDone)
	outer.Go(untilDone)
	require.ErrorIs(t, taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		g.Start(taskgroup.Task{Name: "load", Func: fails})
		return nil
	}, taskgroup.Name("broken")), errDown)

	pool, err := executor.New(executor.Config{Name: "db", Workers: 2})
	require.NoError(t, err)
	o.Executor(pool)
	busy := executor.Submit(ctx, pool, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, nil })
	probe := looplag.New(looplag.Config{})
	o.Probe(probe)
	loop := probe.Watch("hub", time.Minute)
	app, err := shutdown.New(shutdown.Config{})
	require.NoError(t, err)
	o.App(app)
	t.Cleanup(func() {
		cancel()
		outer.Stop()    //nolint:errcheck // it was canceled
		busy.Await(ctx) //nolint:errcheck // likewise
		loop.Close()
		require.NoError(t, pool.Close())
	})
}

// settled reports whether everything in the world has begun.
func settled(st state) bool {
	if st.Groups.Live != 2 || st.Executors[0].Running != 1 {
		return false
	}
	outer := st.Groups.Trees[0]
	return outer.Running == 3 && len(outer.Groups) == 1 && outer.Groups[0].Running == 3
}

func TestThePageShowsEverythingAsJSON(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	world(t, o)
	st := newSite(t, o).waitFor(settled)
	require.Equal(t, 2, st.Groups.Shown)
	outer := st.Groups.Trees[0]
	require.Equal(t, "import", outer.Name)
	require.Regexp(t, `page_test\.go:\d+$`, outer.At)
	require.InDelta(t, 5400, *outer.Left, 60)
	require.Nil(t, outer.Canceled)
	require.Equal(t, 1, outer.Queued)
	require.Equal(t, 3, outer.Running)
	inner := outer.Groups[0]
	require.Len(t, inner.Tasks, 1)
	require.Equal(t, "observe_test.untilDone", inner.Tasks[0].Name)
	require.Equal(t, 3, inner.Tasks[0].Count)

	require.Equal(t, "broken", st.Failed[0].Name)
	require.Equal(t, "error", st.Failed[0].Outcome)
	require.Contains(t, st.Failed[0].Error, "connection refused")
	require.Equal(t, "broken", st.Ended[0].Name)
	require.Equal(t, "db", st.Executors[0].Name)
	require.Equal(t, "hub", st.Lag.Loops[0].Name)
	require.False(t, st.Lag.Running)
	require.Len(t, st.Lag.Delays, 3)
	require.NotEmpty(t, st.Lag.Curves[0].Values)
	require.Equal(t, "running", st.Shutdown.State)
}

func TestListsWithNothingInThemAreListsInJSON(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	app.Add(shutdown.Component{Name: "db", Run: func(context.Context) error { return nil }})
	o.App(app)
	nothing := newSite(t, o).get("application/json")
	o.Probe(looplag.New(looplag.Config{}))
	require.NoError(t, app.Run(t.Context()))
	g := taskgroup.New(o.Context(t.Context()))
	idle := newSite(t, o).get("application/json")
	require.NoError(t, g.Wait())
	for body, lists := range map[string][]string{
		nothing: {"lints", "trees", "executors", "components", "phases", "tracked", "failed_groups", "ended_groups"},
		idle:    {"loops", "breaches", "tasks", "groups", "needs"},
	} {
		require.NotContains(t, body, "null")
		for _, list := range lists {
			require.Contains(t, body, `"`+list+`": []`)
		}
	}
}

func TestThePageIsTextForATerminal(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	world(t, o)
	s := newSite(t, o)
	s.waitFor(settled)
	text := s.get("*/*")
	for _, part := range []string{
		"LINTS\n  none", "LAG\n", "LOOPS\n", "GROUPS\n  import #1 ", "1 queued  1h30m left  ", "EXECUTORS\n",
		"\n      <rows> #", "observe_test.untilDone ×3, oldest ", "beat", "background", "FAILED GROUPS\n", "error    broken", "\n      broken: load: connection refused\n", "SHUTDOWN\n  running\n",
	} {
		require.Contains(t, text, part)
	}
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 100)
	}
	t.Log("\n" + text)
}

func TestThePageIsHTMLForABrowser(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	world(t, o)
	s := newSite(t, o)
	s.waitFor(settled)
	status, html, header := s.ask(http.MethodGet, nil, "Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, html, "<b>&lt;rows&gt;</b>", "names are not markup")
	require.NotContains(t, html, "<button", "actions were not allowed")
	require.Contains(t, html, `aria-label="net p99 over the last minute`)
	require.NotContains(t, html, "ZgotmplZ", "nothing that the template does not trust")
}

func TestTheFormatCanBeAskedFor(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	s := newSite(t, o)
	base := s.URL
	for accept, part := range map[string]string{
		"*/*": "GROUPS\n", "": "GROUPS\n", "image/png, ;": "GROUPS\n", "text/plain": "GROUPS\n", "application/*": "GROUPS\n",
		"text/html": "<main>", "TEXT/HTML;q=0.9": "<main>", "text/html;q=0.4, application/json;q=0.5": `"groups"`,
		"application/json, text/html;q=x": `"groups"`, "text/html;q=0, */*": "GROUPS\n",
	} {
		require.Contains(t, s.get(accept), part, accept)
	}
	for format, part := range map[string]string{"json": `"groups"`, "text": "GROUPS", "html": "<main>"} {
		s.URL = base + "?format=" + format
		_, body, _ := s.ask(http.MethodGet, nil)
		require.Contains(t, body, part)
	}
	s.URL = base + "?format=xml"
	status, _, _ := s.ask(http.MethodGet, nil)
	require.Equal(t, http.StatusBadRequest, status)
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodOptions, "BREW"} {
		status, _, header := s.ask(method, nil)
		require.Equal(t, http.StatusMethodNotAllowed, status)
		require.Equal(t, "GET, HEAD, POST", header.Get("Allow"))
	}
	s.URL = base
	for _, accept := range []string{"*/*", "text/html", "text/event-stream"} {
		status, body, header := s.ask(http.MethodHead, nil, "Accept", accept)
		require.Equal(t, http.StatusOK, status)
		require.Empty(t, body)
		require.Contains(t, header.Get("Content-Type"), strings.Replace(accept, "*/*", "text/plain", 1))
	}
}

func TestOnlyTheMachineItselfSeesThePage(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	for _, c := range []struct {
		peer, host, header string
		ok                 bool
	}{
		{"127.0.0.1:1", "127.0.0.1:6060", "", true},
		{"127.0.0.1:1", "localhost:6060", "", true},
		{"127.0.0.1:1", "localhost", "", true},
		{"127.0.0.1:1", "grove.localhost:6060", "", true},
		{"127.0.0.1:1", "LocalHost:6060", "", true},
		{"[::1]:1", "[::1]:6060", "", true},
		{"[::1]:1", "[::1]", "", true},
		{"[::ffff:127.0.0.1]:1", "127.0.0.1", "", true},
		{"10.0.0.7:1", "127.0.0.1:6060", "", false},
		{"[2001:db8::1]:1", "[::1]:6060", "", false},
		{"127.0.0.1:1", "evil.example", "", false},
		{"127.0.0.1:1", "localhost.evil.example:6060", "", false},
		{"127.0.0.1:1", "", "", false},
		{"", "localhost", "", false},
		{"127.0.0.1:1", "localhost", "X-Forwarded-For", false},
		{"127.0.0.1:1", "localhost", "Forwarded", false},
		{"127.0.0.1:1", "localhost", "Via", false},
		{"127.0.0.1:1", "0.0.0.0:6060", "", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/grove", nil)
		r.RemoteAddr, r.Host = c.peer, c.host
		if c.header != "" {
			r.Header.Set(c.header, "for=10.0.0.7")
		}
		w := httptest.NewRecorder()
		o.Handler().ServeHTTP(w, r)
		if c.ok {
			require.Equal(t, http.StatusOK, w.Code, c)
		} else {
			require.Equal(t, http.StatusForbidden, w.Code, c)
			require.Contains(t, w.Body.String(), "ssh -L")
			require.Contains(t, w.Body.String(), "observe.Config.Allow")
			if c.header != "" {
				require.Contains(t, w.Body.String(), "from 127.0.0.1:1 through a proxy ("+c.header+")")
			}
		}
	}
}

func TestAUnixSocketIsTheMachineItself(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	path := filepath.Join(t.TempDir(), "s")
	ln, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	server := &http.Server{Handler: o.Handler(), ReadHeaderTimeout: time.Minute}
	go server.Serve(ln)  //nolint:errcheck // closed below
	defer server.Close() //nolint:errcheck // the test is over
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://grove/", nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestAllowDecidesWhoSeesThePage(t *testing.T) {
	o, _ := newObserver(t, observe.Config{Allow: func(r *http.Request) bool { return r.Header.Get("Authorization") == "yes" }})
	s := newSite(t, o)
	status, _, _ := s.ask(http.MethodGet, nil)
	require.Equal(t, http.StatusForbidden, status)
	status, _, _ = s.ask(http.MethodGet, nil, "Authorization", "yes", "Host", "grove.example")
	require.Equal(t, http.StatusOK, status)
}

func TestBrowsersAreKeptUpToDate(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	s := newSite(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := s.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close() //nolint:errcheck // the test is over
	lines := bufio.NewScanner(resp.Body)
	event := func() string {
		var text strings.Builder
		require.True(t, lines.Scan())
		require.Equal(t, "retry: 1000", lines.Text())
		for lines.Scan() && lines.Text() != "" {
			require.True(t, strings.HasPrefix(lines.Text(), "data: "), lines.Text())
			text.WriteString(lines.Text()[6:] + "\n")
		}
		return text.String()
	}
	require.Contains(t, event(), "No group is live.")
	g := taskgroup.New(o.Context(t.Context()), taskgroup.Name("sudden"))
	for range 5 {
		if strings.Contains(event(), "sudden") {
			require.NoError(t, g.Wait())
			return
		}
	}
	require.Fail(t, "the group never appeared")
}

func TestNotMoreThanSixteenBrowsersAreKeptUpToDate(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	s := newSite(t, o)
	open := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/event-stream")
		resp, err := s.Client().Do(req)
		require.NoError(t, err)
		t.Cleanup(func() { resp.Body.Close() }) //nolint:errcheck // the test is over
		return resp.StatusCode
	}
	for range 16 {
		require.Equal(t, http.StatusOK, open())
	}
	require.Equal(t, http.StatusServiceUnavailable, open())
}

func TestAStreamEndsToMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newObserver(t, observe.Config{})
		w := httptest.NewRecorder()
		began := time.Now()
		o.Handler().ServeHTTP(w, request(t, "stream"))
		require.Equal(t, 5*time.Minute, time.Since(began))
		require.Equal(t, 300, strings.Count(w.Body.String(), "retry: 1000\ndata: "))
	})
}
