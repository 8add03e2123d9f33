package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/grove-go/grove/taskgroup"
)

// load is what clients do and what becomes of it.
type load struct {
	requests int64 // at least so many are sent

	rounds                atomic.Int64 // how often all replicas have been restarted
	sent, failed, late    atomic.Int64 // requests; those that are late were answered that their budget had run out
	streams, torn         atomic.Int64 // streams that were opened, and those that ended without a farewell
	refused, dropped      int          // what nginx says: see proxy.errors
	restarts              int
	firstFailure, dropLog string
}

// pause is the time between a restart and the next. While a search server loads its index, it listens already: what nginx
// sends to it waits.
const pause = time.Second

// roll runs everything: replicas, nginx, the load and the restarts.
func (l *load) roll(ctx context.Context, clients, streams int) error {
	if _, err := exec.LookPath("nginx"); err != nil {
		return err // before there is anything to end
	}
	dir, err := os.MkdirTemp("", "rolling")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	all, err := startReplicas(ctx, dir)
	defer all.end()
	if err != nil {
		return err
	}
	nginx, err := startProxy(ctx, dir, all)
	if err != nil {
		return err
	}
	defer nginx.stop()

	err = taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		for range streams {
			g.Start(taskgroup.Task{Name: "stream", Background: true, Func: func(ctx context.Context) error { return l.follow(ctx, nginx.url) }})
		}
		for range clients {
			g.Go(func(ctx context.Context) error { return l.ask(ctx, nginx.url) })
		}
		g.Go(func(ctx context.Context) error {
			for !l.done() {
				for _, r := range all {
					if err := r.restart(ctx); err != nil {
						return err
					}
					l.restarts++
					select {
					case <-time.After(pause):
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				l.rounds.Add(1)
			}
			return nil
		})
		return nil
	})
	if err != nil {
		return err
	}
	if err := all.stop(); err != nil {
		return err
	}
	l.refused, l.dropped, l.dropLog, err = nginx.errors()
	return err
}

// done reports whether there have been enough requests, and each replica has been restarted while they were sent.
func (l *load) done() bool { return l.rounds.Load() > 0 && l.sent.Load() >= l.requests }

// words are what is searched for: few enough for the caches of the replicas to be warm soon after a restart.
var words = []string{"snow", "man", "cat", "latin", "arrow", "moon", "star", "sun", "heart", "square"}

// ask sends one request after the other over a connection that is kept alive.
func (l *load) ask(ctx context.Context, url string) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for n := 0; !l.done(); n++ {
		query := "/search?q=" + words[n%len(words)] + "&limit=" + strconv.Itoa(1+n%5)
		resp, err := get(ctx, transport, url+query)
		status := 0
		if err == nil {
			status = resp.StatusCode
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close() //nolint:errcheck // it has been read
		}
		l.sent.Add(1)
		switch {
		case err == nil && status == http.StatusOK:
		case err == nil && status == http.StatusGatewayTimeout:
			l.late.Add(1)
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			if l.failed.Add(1) == 1 {
				l.firstFailure = fmt.Sprintf("status %d, %v", status, err)
			}
		}
	}
	return nil
}

// follow reads one stream of events after the other. Each must end with a farewell, unless ctx ends it.
func (l *load) follow(ctx context.Context, url string) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for ctx.Err() == nil {
		resp, err := get(ctx, transport, url+"/events")
		if err == nil {
			l.streams.Add(1)
			last := ""
			for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
				if lines.Text() != "" {
					last = lines.Text()
				}
			}
			resp.Body.Close() //nolint:errcheck // it has been read
			if resp.StatusCode == http.StatusOK && last == farewell {
				continue
			}
		}
		if ctx.Err() == nil {
			l.torn.Add(1)
		}
	}
	return ctx.Err()
}

func get(ctx context.Context, transport http.RoundTripper, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return (&http.Client{Transport: transport}).Do(r)
}

func (l *load) failures() int64 { return l.failed.Load() + l.torn.Load() + int64(l.dropped) }

// String is the result, as a table.
func (l *load) String() string {
	text := fmt.Sprintf(`%8d restarts
%8d requests
%8d   failed
%8d   dropped by a replica that had taken them, and sent again by nginx
%8d   late: answered that their budget ran out
%8d   sent to the other replica at once, because nobody listened
%8d streams
%8d   torn`, l.restarts, l.sent.Load(), l.failed.Load(), l.dropped, l.late.Load(), l.refused, l.streams.Load(), l.torn.Load())
	if l.firstFailure != "" {
		text += "\nfirst failure: " + l.firstFailure
	}
	return text + l.dropLog
}
