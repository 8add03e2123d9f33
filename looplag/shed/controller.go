package shed

import "time"

const (
	// maxShed is the largest share of the requests of one priority that is refused: what still comes through shows when
	// the server has recovered.
	maxShed = 0.9
	// gain is the share that is refused at once for each Target that requests wait too long.
	gain = 0.25
	// reset is in how many Targets a wait that stays too long adds as much again.
	reset = 6
	// maxExcess bounds what a single wait counts for, in Targets, so that the queue of a stall that is over is not
	// taken for an overload.
	maxExcess = 4
)

// A controller finds the share of the requests to refuse, from how long they wait: a proportional and integral controller
// that is off until a queue has stood for a while. The Guarantees of the package say what it does; docs/shedding.md how
// its constants were found.
//
// What it controls integrates: a server that is offered ρ times what it can do and refuses the share s of it has its
// waits grow by about ρ(1-s) - 1. It sees them about a Target late. With that delay, gain leaves a factor of two up
// to ρ = 3 before the waits begin to swing.
type controller struct {
	target time.Duration

	last time.Time     // of the last look
	age  time.Duration // what the source told then
	peak time.Duration // the age before it last fell: about how long the byte was under way that arrived then

	lateSince time.Time // since when each look has found a wait of more than two Targets; zero if the last one has not
	held      float64   // the share that has proved necessary, in [0, maxShed]
	share     float64   // what to refuse, in [0, maxShed]; held > 0 or share > 0 means that the controller is on
}

// on reports whether the controller acts on what it sees. If not, it waits for a queue that stands.
func (c *controller) on() bool { return c.held > 0 || c.share > 0 }

// look sets the share. What is under way now has been so for age, as the source tells.
func (c *controller) look(now time.Time, age time.Duration) {
	elapsed := now.Sub(c.last)
	c.last = now
	c.note(age, elapsed)
	wait := c.wait()
	switch {
	case wait <= 2*c.target:
		c.lateSince = time.Time{}
	case c.lateSince.IsZero():
		c.lateSince = now
	}
	// A burst drains; only a queue that stands needs less to come.
	stands := !c.lateSince.IsZero() && now.Sub(c.lateSince) >= 4*c.target
	if !c.on() && !stands {
		return
	}
	elapsed = min(elapsed, c.target) // after a stall, nobody knows for how long this has been the wait
	excess := min(float64(wait-c.target)/float64(c.target), maxExcess)
	c.held = share(c.held + gain*excess*float64(elapsed)/float64(reset*c.target))
	c.share = share(c.held + gain*excess)
}

// note takes down what is under way. An age that has not grown by the time that elapsed is another one's: what was under
// way has arrived.
func (c *controller) note(age, elapsed time.Duration) {
	switch {
	case c.age > 0 && age < c.age+elapsed:
		c.peak = c.age
	case age == 0:
		c.peak = 0
	}
	c.age = age
}

// wait is how long a request waits: as long as what arrived last, which counts until another one arrives or until nothing
// has been under way twice, or as long as what has not arrived yet.
func (c *controller) wait() time.Duration { return max(c.peak, c.age) }

// off forgets that requests were late.
func (c *controller) off() { c.lateSince, c.held, c.share = time.Time{}, 0, 0 }

func share(x float64) float64 { return min(max(x, 0), maxShed) }
