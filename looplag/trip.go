package looplag

import (
	"sync/atomic"
	"time"
)

// A trip is the way of something that a probe sent, a byte through the pipe or a wake-up through the run queue.
type trip struct{ sent, arrived time.Duration }

func (t trip) wait() time.Duration { return t.arrived - t.sent }

// A route is where trips are made, one at a time, during one Run: from the goroutine that calls leave to the one that
// calls arrive.
type route struct {
	now    func() time.Duration
	sent   *atomic.Int64 // when the trip under way began; 0 when none is
	done   atomic.Uint64 // how many trips have ended
	latest trip          // the last of them; written before done is raised and read after
}

func (r *route) leave(now time.Duration) { r.sent.Store(int64(now)) }

func (r *route) arrive() {
	sent := r.sent.Load()
	r.latest = trip{sent: time.Duration(sent), arrived: r.now()}
	r.done.Add(1)
	r.sent.CompareAndSwap(sent, 0) // unless the next one is under way already
}

// position returns trip number n and whether it has ended. If it has not, arrived is now, and so is sent if it has not
// even begun.
func (r *route) position(n uint64, now time.Duration) (t trip, ended bool) {
	// sent is cleared only after done is raised: if it is 0 here and done not n then, n has not begun.
	sent := time.Duration(r.sent.Load())
	if r.done.Load() == n {
		return r.latest, true
	}
	if sent == 0 {
		sent = now
	}
	return trip{sent: sent, arrived: now}, false
}

// An errand is what ticks know of the trips of a route. It belongs to Run's goroutine.
type errand struct {
	*route
	probe   int           // the track that the trips are noted in
	ordered uint64        // how many trips have been
	due     time.Duration // when the tick that ordered the last one was due
	noted   time.Duration // when the last one that was noted ended

	open  bool // the end of the last one has not been noted
	last  trip // that one, as the present tick sees it
	ended bool // and whether it has ended
}

// see looks where the last trip is, and returns for how long it has been or was under way if that has not been noted.
func (e *errand) see(now time.Duration) time.Duration {
	if !e.open {
		return 0
	}
	e.last, e.ended = e.position(e.ordered, now)
	return e.last.wait()
}

// note adds the trip that was seen to the record if it has ended.
func (e *errand) note(r *record) {
	if e.open && e.ended {
		r.tally.tracks[e.probe].noteTrip(e.noted, e.due, e.last)
		e.open, e.noted = false, e.last.arrived
	}
}

// include makes d, what the record has of the window, include the trip that is under way.
func (e *errand) include(d *Dist, r *record) {
	if e.open {
		k := r.recent(e.probe)
		k.noteTrip(e.noted, e.due, e.last)
		*d = k.dist()
	}
}

// order notes that a trip is ordered by a tick that was due at due, and reports whether it is to be: it is not while the
// last one is under way.
func (e *errand) order(due time.Duration) bool {
	if e.open {
		return false
	}
	e.open, e.due = true, due
	e.ordered++
	return true
}
