package looplag

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// A courier carries the net probe's bytes through the pipe during one Run. It has goroutines of its own for what enters
// the kernel: who comes back from a system call may have lost its processor meanwhile and has to queue for one, and the
// ticks must not.
type courier struct {
	route
	orders chan bool  // a tick orders a byte when it has seen that the last one is delivered; false: nothing is late
	failed chan error // receives from the goroutines why they ended; has room for both

	kernel  *kernel
	every   time.Duration           // how often to read it while something is late
	reading atomic.Pointer[reading] // the last one
}

// send writes a byte for each order.
func (c *courier) send(w io.Writer) {
	var rest time.Duration
	for isLate := range c.orders {
		began := c.now()
		c.leave(began)
		if _, err := w.Write([]byte{0}); err != nil {
			c.failed <- fmt.Errorf("write: %w", err)
			return
		}
		every := max(c.every, rest)
		if !isLate {
			every = max(every, slots*c.every/2)
		}
		if began-c.reading.Load().at >= every {
			rest = c.readKernel()
		}
	}
}

// readKernel reads the kernel's counters and returns how long not to do so again for it to stay cheap: to ask for
// thousands of threads takes milliseconds.
func (c *courier) readKernel() time.Duration {
	began := c.now()
	r := c.kernel.read(began)
	c.reading.Store(&r)
	return 500 * (c.now() - began)
}

// receive reads the bytes, parked in the network poller until each arrives, as a server's goroutines are.
func (c *courier) receive(r io.Reader) {
	var b [1]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			c.failed <- fmt.Errorf("read: %w", err)
			return
		}
		c.arrive()
	}
}
