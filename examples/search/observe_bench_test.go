package main_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/internal/kit"
	"github.com/grove-go/grove/examples/search/internal/store"
	"github.com/grove-go/grove/examples/search/internal/web"
	"github.com/grove-go/grove/looplag"
)

// BenchmarkObserved asks two servers in turn for searches that no cache knows, over HTTP. One is observed, its page and
// its metrics being asked for once a second, and the other is not. The metric on/off is the median of the ratios of
// their throughputs: below 1 what is observed is slower. p99-on/off is the ratio of the 99th percentiles of all answers'
// times: above 1 what is observed is slower.
func BenchmarkObserved(b *testing.B) {
	db, err := store.NewSQLite(2)
	require.NoError(b, err)
	require.NoError(b, db.Start(b.Context(), nil))
	defer func() { require.NoError(b, errors.Join(db.Drain(b.Context()), db.Close())) }()
	observedDB, err := store.NewSQLite(2)
	require.NoError(b, err)
	require.NoError(b, observedDB.Start(b.Context(), nil))
	defer func() { require.NoError(b, errors.Join(observedDB.Drain(b.Context()), observedDB.Close())) }()
	on, stop := observed(b, observedDB)
	defer stop()
	servers := [2]*httptest.Server{httptest.NewServer(web.New(site(db))), httptest.NewServer(on)}
	defer servers[0].Close()
	defer servers[1].Close()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	for name, query := range map[string]func(n int64) string{
		"rune": func(n int64) string { return string(rune(0x4e00 + n%20_000)) }, // one row by its key: there is nothing cheaper
		"word": func(n int64) string { return string([]byte{'a' + byte(n%26), "aeiou"[n/26%5], 'a' + byte(n/130%26)}) },
	} {
		b.Run("query="+name, func(b *testing.B) { compare(b, client, servers, query) })
	}
}

// compare has the two servers take turns.
func compare(b *testing.B, client *http.Client, servers [2]*httptest.Server, query func(n int64) string) {
	b.Helper()
	var ratios []float64
	var times [2][]time.Duration
	for first := 0; b.Loop(); first = 1 - first {
		var took [2]time.Duration
		for i := range servers {
			at := (first + i) % 2
			began := time.Now()
			times[at] = append(times[at], ask(b, client, servers[at].URL, query)...)
			took[at] = time.Since(began)
		}
		ratios = append(ratios, took[0].Seconds()/took[1].Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "on/off")
	var p99 [2]time.Duration
	for i, t := range times {
		slices.Sort(t)
		p99[i] = t[len(t)*99/100]
	}
	b.ReportMetric(p99[1].Seconds()/p99[0].Seconds(), "p99-on/off")
	b.ReportMetric(p99[0].Seconds()*1e3, "p99-off-ms")
}

func site(db *store.SQLite) web.Config {
	return web.Config{Database: db, Budget: time.Minute, Log: slog.New(slog.DiscardHandler)}
}

// observed is a server with everything that observe has, and with somebody who looks.
func observed(b *testing.B, db *store.SQLite) (h http.Handler, stop func()) {
	b.Helper()
	telemetry, err := kit.NewTelemetry(slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	probe := looplag.New(looplag.Config{})
	telemetry.Probe(probe)
	telemetry.Executor(db.Pool())
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = probe.Run(ctx) })
	running.Go(func() { _ = telemetry.Run(ctx) })
	running.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				for _, h := range []http.Handler{telemetry.Handler(), telemetry.Metrics} {
					r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
					r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
					h.ServeHTTP(httptest.NewRecorder(), r)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return telemetry.Recover(web.New(site(db))), func() { cancel(); running.Wait() }
}

// asked numbers the queries, so that no cache knows the next.
var asked atomic.Int64

// ask sends 400 requests from eight clients at once, and returns how long each took.
func ask(b *testing.B, client *http.Client, server string, query func(n int64) string) []time.Duration {
	b.Helper()
	times := make([]time.Duration, 8*50)
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for j := range 50 {
				began := time.Now()
				n := asked.Add(1)
				params := url.Values{"q": {query(n / 100)}, "limit": {strconv.FormatInt(1+n%100, 10)}}
				r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, server+"/search?"+params.Encode(), nil)
				if err != nil {
					b.Error(err)
					return
				}
				resp, err := client.Do(r)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close() //nolint:errcheck // it was read
				if resp.StatusCode != http.StatusOK {
					b.Error(resp.Status)
					return
				}
				times[50*i+j] = time.Since(began)
			}
		})
	}
	clients.Wait()
	return times
}
