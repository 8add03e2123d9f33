package looplag

import (
	"fmt"
	"io"
)

// A courier carries the net probe's bytes through the pipe during one Run. It has goroutines of its own for what enters
// the kernel: who comes back from a system call may have lost its processor meanwhile and has to queue for one, and the
// ticks must not.
type courier struct {
	route
	orders chan struct{} // a tick orders a byte when it has seen that the last one is delivered
	failed chan error    // receives from the goroutines why they ended; has room for both
}

// send writes a byte for each order.
func (c *courier) send(w io.Writer) {
	for range c.orders {
		c.leave(c.now())
		if _, err := w.Write([]byte{0}); err != nil {
			c.failed <- fmt.Errorf("write: %w", err)
			return
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
		c.arrive()
	}
}
