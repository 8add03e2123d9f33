package looplag

import "sync/atomic"

// A hopper is the queue probe: a goroutine that waits in the run queue of the processor on which a tick wakes it. The
// scheduler would run it next; that a second one is woken after it sends it to the end of the queue.
type hopper struct {
	route
	wake, push chan struct{} // each has room for one, so that ticks never block
	pushed     atomic.Uint64 // how many times the second goroutine has run
}

// ready reports whether both goroutines wait to be woken, n having been ordered.
func (h *hopper) ready(n uint64) bool { return h.pushed.Load() == n }

// hop wakes the goroutines. Both must be ready.
func (h *hopper) hop() {
	h.leave(h.now())
	h.wake <- struct{}{}
	h.push <- struct{}{}
}

// run is the first goroutine, until end.
func (h *hopper) run() {
	for range h.wake {
		h.arrive()
	}
}

// pusher is the second one.
func (h *hopper) pusher() {
	for range h.push {
		h.pushed.Add(1)
	}
}

func (h *hopper) end() {
	close(h.wake)
	close(h.push)
}
