package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/grove-go/grove/looplag"
)

// serve answers requests that cost work in the mean, under a law, until the process is killed. It prints its URL.
func serve(ctx context.Context, name string, work time.Duration, stderr io.Writer) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	probe := looplag.New(looplag.Config{})
	go probe.Run(ctx) //nolint:errcheck // ctx does not end
	d := &door{}
	l := laws[name]()
	if g, ok := l.(*grove); ok {
		g.listen(probe)
	}
	go d.watch(l, probe)

	if _, err := fmt.Fprintf(stderr, "serving url=http://%v\n", ln.Addr()); err != nil {
		return err
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			done, ok := l.admit(d)
			if !ok {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			defer done()
			spin(time.Duration(min(rand.ExpFloat64(), 10) * float64(work)))
			w.Write([]byte("done\n"))
		}),
		ReadHeaderTimeout: time.Minute,
	}
	return server.Serve(ln)
}

// spin keeps the processor for d. It watches the clock instead of counting, so that a machine which is slow at times,
// for the sake of others, has no part in the result.
func spin(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}

// A view is what laws can see of the server.
type view struct {
	wait     time.Duration // of the last byte through a pipe, or the age of the one under way, whichever is longer
	overdue  time.Duration // looplag.Probe.Overdue
	window   looplag.Snapshot
	runnable float64 // goroutines for each processor
}

// A door has what laws decide by.
type door struct {
	inFlight atomic.Int64
	sent     atomic.Int64 // when the byte under way was sent, in ns since begin; 0 if none is
	last     atomic.Int64 // the wait of the last byte
}

const tick = 10 * time.Millisecond

// watch shows a view to l at each tick.
func (d *door) watch(l law, probe *looplag.Probe) {
	begin := time.Now()
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	go func() {
		b := make([]byte, 1)
		for {
			r.Read(b) //nolint:errcheck // nobody closes it
			d.last.Store(int64(time.Since(begin)) - d.sent.Swap(0))
		}
	}()
	samples := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}
	for range time.Tick(tick) {
		v := view{wait: time.Duration(d.last.Load()), overdue: probe.Overdue(), window: probe.Snapshot()}
		now := time.Since(begin)
		if sent := d.sent.Load(); sent != 0 {
			v.wait = max(v.wait, now-time.Duration(sent))
		} else {
			d.sent.Store(int64(now))
			w.Write([]byte{0}) //nolint:errcheck // nobody closes it
		}
		metrics.Read(samples)
		v.runnable = float64(samples[0].Value.Uint64()) / float64(runtime.GOMAXPROCS(0))
		l.tick(v)
	}
}
