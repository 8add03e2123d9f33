package interop_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/shutdown"
	"github.com/grove-go/grove/taskgroup"
)

// tab is one page in a Chromium.
type tab struct {
	*testing.T
	ctx context.Context
}

// browser starts a Chromium. Without one the test is skipped, and fails in CI. The test fails, too, if the page has
// complained about anything.
func browser(t *testing.T) tab {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no chromium in PATH")
		}
		t.Skip("there is no chromium in PATH: apt-get install chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WindowSize(1200, 1000))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // Chromium's sandbox refuses root
	}
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), opts...)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() { require.NoError(t, chromedp.Cancel(ctx)) }) // which waits

	var mu sync.Mutex
	var complaints []string
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			complaints = append(complaints, e.Entry.Text)
		}
	}))
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		require.Empty(t, complaints)
	})
	return tab{t, ctx}
}

// do has the browser do something.
func (b tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	require.NoError(b, chromedp.Do(b.ctx, steps...))
}

// ask has the browser tell something.
func ask[T any](b tab, a chromedp.Action[T]) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, a)
	require.NoError(b, err)
	return v
}

// screenshot keeps a picture of the page if somebody wants to look at it.
func (b tab) screenshot(name string) {
	b.Helper()
	if dir := os.Getenv("GROVE_SCREENSHOTS"); dir != "" {
		require.NoError(b, os.WriteFile(filepath.Join(dir, name+".png"), ask(b, chromedp.FullScreenshot(100)), 0o600))
	}
}

// update waits until the page has been updated n times.
func (b tab) update(n int) {
	b.Helper()
	for range n {
		before := ask(b, chromedp.Evaluate[string](clock))
		b.do(chromedp.WaitNotPresent(`//span[text()="` + before + `"]`))
	}
}

// clock is the time on the page.
const clock = `document.querySelector("#process span:last-child").textContent`

// loadedServer is the page of a process that is at work.
func loadedServer(t *testing.T) (url string, o *observe.Observer) {
	t.Helper()
	o, err := observe.New(observe.Config{Actions: true, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	app, err := shutdown.New(shutdown.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	o.App(app)
	pool, err := executor.New(executor.Config{Name: "sqlite", Workers: 2, Queue: 8})
	require.NoError(t, err)
	o.Executor(pool)
	probe := looplag.New(looplag.Config{})
	o.Probe(probe)

	load := func(ctx context.Context) error {
		loop := probe.Watch("hub", 50*time.Millisecond)
		defer loop.Close()
		ctx, cancel := deadline.With(ctx, "load", time.Hour)
		defer cancel()
		return taskgroup.ForEach(ctx, 6, func(yield func(int) bool) {
			for i := 0; yield(i); i++ {
				loop.Begin()
				loop.End()
			}
		}, func(ctx context.Context, i int) error {
			_ = taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error { // failures are part of the load
				g.Start(taskgroup.Task{Name: "database", Func: func(ctx context.Context) error {
					_, err := executor.Do(ctx, pool, func(context.Context) (int, error) {
						<-time.After(5 * time.Millisecond)
						return 0, nil
					})
					if i%50 == 7 {
						return errDown
					}
					return err
				}})
				g.Start(taskgroup.Task{Name: "cache", Func: func(ctx context.Context) error {
					select {
					case <-time.After(2 * time.Millisecond):
					case <-ctx.Done():
					}
					return ctx.Err()
				}})
				return nil
			}, taskgroup.Name("search"))
			return nil
		}, taskgroup.Name("clients"))
	}
	ready := make(chan struct{})
	app.Add(
		shutdown.Component{Name: "database", Start: func(context.Context) error { return nil }},
		shutdown.Component{Name: "pool", Phase: shutdown.Work, Needs: []string{"database"}, Stop: pool.Drain},
		shutdown.Component{Name: "probe", Phase: shutdown.Telemetry, Run: probe.Run},
		shutdown.Component{Name: "observer", Phase: shutdown.Telemetry, Run: o.Run},
		shutdown.Component{Name: "clients", Phase: shutdown.Intake, Needs: []string{"pool"}, Run: load},
		shutdown.Component{Name: "ready", Phase: shutdown.Announce, Start: func(context.Context) error { close(ready); return nil }},
	)
	over := make(chan error, 1)
	go func() { over <- app.Run(o.Context(context.WithoutCancel(t.Context()))) }()
	<-ready
	mux := http.NewServeMux()
	mux.Handle("/debug/grove", o.Handler())
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections() // that of the browser, which is kept open
		server.Close()
		app.Shutdown(nil)
		require.NoError(t, <-over)
	})
	return server.URL + "/debug/grove", o
}

func TestAGroupAppearsIsCanceledFromThePageAndDisappears(t *testing.T) {
	url, o := loadedServer(t)
	b := browser(t)
	b.do(chromedp.Navigate(url), chromedp.WaitVisible(`//b[text()="clients"]`))

	g := taskgroup.New(o.Context(context.WithoutCancel(t.Context())), taskgroup.Name("nightly report"))
	for range 3 {
		g.Go(untilDone)
	}
	release := make(chan struct{})
	g.Start(taskgroup.Task{Name: "slow page", Func: func(context.Context) error { <-release; return nil }})
	const button = `//div[b[text()="nightly report"]]//button`
	const ending = `//div[contains(@class, "ending")][b[text()="nightly report"]]`
	b.do(chromedp.WaitVisible(button), chromedp.Focus(button))
	label := ask(b, chromedp.AttributeValue(button, "aria-label")).Value
	require.True(t, strings.HasPrefix(label, "Cancel the group nightly report number "), label)
	b.update(2)
	require.Equal(t, label, ask(b, chromedp.Evaluate[string](`document.activeElement.getAttribute("aria-label")`)),
		"the focus stays where it is while the page changes")
	b.screenshot("before")
	b.do(chromedp.SendKeys(button, kb.Enter), chromedp.WaitVisible(ending))
	require.Contains(t, ask(b, chromedp.Text(ending)), "canceled from the live page")
	require.ErrorContains(t, context.Cause(g.Context()), "canceled from the live page")
	b.update(2)
	b.screenshot("canceled")
	close(release)
	require.Error(t, g.Wait())
	b.do(chromedp.WaitNotPresent(ending))
}

func TestThePageFitsAPhoneAndTheDark(t *testing.T) {
	url, _ := loadedServer(t)
	b := browser(t)
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	})
	require.NoError(t, err)
	b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile), chromedp.Navigate(url), chromedp.WaitVisible(`//b[text()="clients"]`))
	require.LessOrEqual(t, ask(b, chromedp.Evaluate[float64](`document.documentElement.scrollWidth`)), 390.0,
		"nothing has to be scrolled sideways but tables, within themselves")
	require.GreaterOrEqual(t, ask(b, chromedp.Evaluate[float64](`document.querySelector("button").getBoundingClientRect().height`)), 32.0,
		"a finger meets a button")
	require.Equal(t, "rgb(19, 23, 21)", ask(b, chromedp.Evaluate[string](`getComputedStyle(document.documentElement).backgroundColor`)))
	b.update(3)
	b.screenshot("phone")
}

func TestThePageCanBePaused(t *testing.T) {
	url, _ := loadedServer(t)
	b := browser(t)
	b.do(chromedp.Navigate(url))
	b.update(1)
	b.do(chromedp.SendKeys(`#follow`, " "))
	require.Equal(t, "paused", ask(b, chromedp.Text(`#link`)))
	before := ask(b, chromedp.Evaluate[string](clock))
	b.do(chromedp.Sleep(2200 * time.Millisecond))
	require.Equal(t, before, ask(b, chromedp.Evaluate[string](clock)))
	b.do(chromedp.SendKeys(`#follow`, " "))
	b.update(1)
}
