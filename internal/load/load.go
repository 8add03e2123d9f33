package load

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config is one step of a load test.
type Config struct {
	// Rate is how many requests a second are due on average, with the irregular gaps of independent users (Poisson).
	Rate float64
	// WarmUp is how long requests are sent that do not count, Duration how long those are sent that do.
	WarmUp, Duration time.Duration
	// Timeout is how long a client waits for an answer; 0 means 2 s.
	Timeout time.Duration
	// SLO is up to which latency an answer counts as good; 0 means 100 ms.
	SLO time.Duration
	// MaxInFlight is how many requests may be under way; 0 means 4096. Those that are due beyond it are not sent but
	// counted as Dropped: the figures are then those of this limit and no longer those of the server.
	MaxInFlight int
	// Seed makes the schedule; the same seed makes the same one.
	Seed uint64
}

// NewClient returns a client that keeps as many connections as a step with MaxInFlight may need; 0 means 4096.
func NewClient(maxInFlight int) *http.Client {
	n := cmp.Or(maxInFlight, defaultInFlight)
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n, DisableCompression: true}}
}

const defaultInFlight = 4096

// A Request makes the request number n.
type Request func(ctx context.Context, n int) (*http.Request, error)

// Run sends what request returns for 0, 1, 2, … and returns when the last of it is answered or has timed out. When ctx
// ends it cancels what is under way, waits for it, and returns the cause; it also fails if request does.
func Run(ctx context.Context, client *http.Client, request Request, c Config) (Result, error) {
	c.Timeout = cmp.Or(c.Timeout, 2*time.Second)
	c.SLO = cmp.Or(c.SLO, 100*time.Millisecond)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, defaultInFlight)
	if c.Rate <= 0 || c.Duration <= 0 {
		return Result{}, fmt.Errorf("load: %v requests a second for %v, both must be above 0", c.Rate, c.Duration)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var (
		tally   = tally{slo: c.SLO}
		under   sync.WaitGroup
		slots   = make(chan struct{}, c.MaxInFlight)
		random  = rand.New(rand.NewPCG(c.Seed, 0))
		timer   = time.NewTimer(0)
		counted = time.Now().Add(c.WarmUp) // requests that are due from here on count
		end     = counted.Add(c.Duration)
		next    = time.Now()
	)
	defer timer.Stop()
	for n := 0; ; n++ {
		next = next.Add(time.Duration(random.ExpFloat64() / c.Rate * float64(time.Second)))
		due := next
		if !due.Before(end) {
			break
		}
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		counts := !due.Before(counted)
		select {
		case slots <- struct{}{}:
		default:
			if counts {
				tally.drop()
			}
			continue
		}
		r, err := request(ctx, n)
		if err != nil {
			cancel(fmt.Errorf("load: request %d: %w", n, err))
			break
		}
		under.Go(func() {
			defer func() { <-slots }()
			late := time.Since(due)
			o := send(client, r, due.Add(c.Timeout))
			if counts {
				tally.add(o, late, time.Since(due))
			}
		})
	}
	under.Wait()
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	return tally.result(c.Rate, c.Duration), nil
}

// send returns what came of a request.
func send(client *http.Client, r *http.Request, deadline time.Time) outcome {
	ctx, cancel := context.WithDeadline(r.Context(), deadline)
	defer cancel()
	resp, err := client.Do(r.WithContext(ctx))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close() //nolint:errcheck // it has been read
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return expired
	case err != nil:
		return failed
	case resp.StatusCode < 300:
		return accepted
	case resp.StatusCode == http.StatusServiceUnavailable && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain"):
		return shed
	case resp.StatusCode == http.StatusServiceUnavailable:
		return refused
	case resp.StatusCode == http.StatusGatewayTimeout:
		return timedOut
	default:
		return failed
	}
}
