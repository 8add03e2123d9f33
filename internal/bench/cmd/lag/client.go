//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// clientReport is what the client waited for answers.
type clientReport struct {
	N         uint64
	Late      dist    // of the answers
	Generator float64 // how late it sent its requests, as a share of that: the report is worth nothing if that is much
}

const connections = 24

// client sends requests to the server at addr and reports the waits for their answers.
func client(addr string, p plan, stdout io.Writer) error {
	// Every connection has a transport of its own and gets its turn: a shared one would use first that which was answered
	// last, and which the server may still have work with.
	idle := make(chan *http.Client, connections)
	for range connections {
		idle <- &http.Client{Transport: new(http.Transport), Timeout: 30 * time.Second}
	}
	began := time.Now()
	if err := connect(idle, addr); err != nil {
		return err
	}

	var wg sync.WaitGroup
	var mu sync.Mutex
	var waits, sent []time.Duration
	var errs []error
	for due := began; due.Before(began.Add(p.warm + p.length)); {
		due = due.Add(time.Duration(rand.ExpFloat64() * float64(time.Second) / p.rate))
		time.Sleep(time.Until(due))
		wg.Go(func() {
			c := <-idle
			late := time.Since(due)
			wait, reused, err := request(c, "http://"+addr)
			idle <- c
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else if reused && due.After(began.Add(p.warm)) {
				waits, sent = append(waits, wait), append(sent, late)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	report := clientReport{N: uint64(len(waits)), Late: quantiles(waits)}
	report.Generator = quantiles(sent).P50 / report.Late.P50
	return json.NewEncoder(stdout).Encode(report)
}

// connect opens the connections.
func connect(idle chan *http.Client, addr string) error {
	for range connections {
		c := <-idle
		if _, _, err := request(c, "http://"+addr); err != nil {
			return err
		}
		idle <- c
	}
	return nil
}

// request returns how long the answer took, and whether the connection was open before.
func request(c *http.Client, url string) (wait time.Duration, reused bool, err error) {
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, false, err
	}
	began := time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return 0, false, err
	}
	wait = time.Since(began)
	defer resp.Body.Close() //nolint:errcheck // it was only read
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, false, err
	}
	if resp.StatusCode != http.StatusNoContent {
		return 0, false, fmt.Errorf("answer %s", resp.Status)
	}
	return wait, reused, nil
}
