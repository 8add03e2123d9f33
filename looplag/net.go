package looplag

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// A courier carries the net probe's bytes through the pipe, one at a time, during one Run. It has goroutines of its own
// for what enters the kernel: who comes back from a system call may have lost its processor meanwhile and has to queue
// for one, and the ticks must not.
type courier struct {
	now    func() time.Duration
	orders chan struct{} // a tick orders a byte when it has seen that the last one is delivered
	failed chan error    // receives from the goroutines why they ended; has room for both

	sent      *atomic.Int64 // when the byte under way was sent; 0 when none is
	delivered atomic.Uint64 // how many bytes have been
	last      trip          // of the last of them; written before delivered is raised and read after

	cgroup *cgroup
	every  time.Duration       // how often to read it
	cpu    atomic.Pointer[CPU] // as read last
}

// A trip is the way of a byte through the pipe.
type trip struct{ sent, arrived time.Duration }

// send writes a byte for each order.
func (c *courier) send(w io.Writer) {
	lastCPU := c.now()
	for range c.orders {
		now := c.now()
		c.sent.Store(int64(now))
		if _, err := w.Write([]byte{0}); err != nil {
			c.failed <- fmt.Errorf("write: %w", err)
			return
		}
		if now-lastCPU >= c.every {
			cpu := c.cgroup.read()
			c.cpu.Store(&cpu)
			lastCPU = now
		}
	}
}

// receive reads the bytes, parked in the network poller until each arrives, as a server's goroutines are.
func (c *courier) receive(r io.Reader) {
	var b [1]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			c.failed <- fmt.Errorf("read: %w", err)
			return
		}
		sent := c.sent.Load()
		c.last = trip{sent: time.Duration(sent), arrived: c.now()}
		c.delivered.Add(1)
		c.sent.CompareAndSwap(sent, 0) // unless the next one is under way already
	}
}

// position returns the way of the byte that was ordered as number n, and whether it has arrived. If it has not, arrived
// is now, and so is sent if it has not even been sent.
func (c *courier) position(n uint64, now time.Duration) (t trip, arrived bool) {
	// sent is cleared only after delivered is raised: if it is 0 here and n not delivered then, n has not been sent.
	sent := time.Duration(c.sent.Load())
	if c.delivered.Load() == n {
		return c.last, true
	}
	if sent == 0 {
		sent = now
	}
	return trip{sent: sent, arrived: now}, false
}
