package observe_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/taskgroup"
)

// badNames are what users can have a program use as names.
var badNames = []string{
	"<script>alert(1)</script>", "two\nlines", "tab\tor\rreturn", "\x1b[2J\x1b[31mred", "\x9b2J", "bad \xff\xfe bytes", "nul\x00",
	"right\u202eleft", "\u2028", "data: x\n\nevent: y", strings.Repeat("long ", 200<<10), strings.Repeat("ü", 1000),
}

func TestNamesFromUsersDisturbNeitherTerminalNorBrowser(t *testing.T) {
	o, _ := newObserver(t, observe.Config{})
	probe := looplag.New(looplag.Config{})
	o.Probe(probe)
	for _, name := range badNames {
		ctx := o.Context(t.Context())
		g := taskgroup.New(ctx, taskgroup.Name(name))
		g.Start(taskgroup.Task{Name: name, Func: stays(0)})
		g.Start(taskgroup.Task{Name: name, Func: func(context.Context) error { return errors.New(name) }})
		require.Error(t, g.Wait())
		live := taskgroup.New(ctx, taskgroup.Name(name))
		live.Start(taskgroup.Task{Name: name, Func: untilDone})
		live.Cancel(errors.New(name))
		t.Cleanup(func() { _ = live.Wait() })
		pool, err := executor.New(executor.Config{Name: name, Workers: 1})
		require.NoError(t, err)
		o.Executor(pool)
		require.NoError(t, pool.Close())
		loop := probe.Watch(name, time.Minute)
		t.Cleanup(loop.Close)
	}
	for _, format := range formats {
		w := httptest.NewRecorder()
		o.Handler().ServeHTTP(w, request(t, format))
		require.Equal(t, http.StatusOK, w.Code)
		requireHarmless(t, w.Body.String())
		if format != "text" {
			require.NotContains(t, w.Body.String(), "<script>alert")
		}
		require.Less(t, w.Body.Len(), 128<<10)
	}
	w := httptest.NewRecorder()
	o.Handler().ServeHTTP(brokenAfter{w}, request(t, "stream"))
	for line := range strings.Lines(strings.TrimRight(w.Body.String(), "\n")) {
		require.True(t, strings.HasPrefix(line, "data: ") || line == "retry: 1000\n", line)
		requireHarmless(t, line)
	}
}

// brokenAfter is the connection of a client that reads one event.
type brokenAfter struct{ *httptest.ResponseRecorder }

func (w brokenAfter) FlushError() error { return errors.New("broken pipe") }

func requireHarmless(t *testing.T, page string) {
	t.Helper()
	require.True(t, utf8.ValidString(page))
	for _, r := range page {
		require.True(t, r == '\n' || unicode.IsPrint(r), "%q", r)
	}
}
