package looplag

import "time"

// late is how long a timer or a byte must be late to be a sign of anything: when the runtime waits in epoll for the
// next timer it counts in milliseconds, so timers of an idle process are up to 1 ms late all the time.
const late = 2 * time.Millisecond

// A track is the waits that a probe saw. Every moment counts once: the weights of waits add up to the time tracked.
type track struct {
	n     uint64
	waits histogram
	last  time.Duration // how long the last trip was
	peak  time.Duration // the longest wait since the newest mark; in a mark, in the slot that ends with it
}

// noteTimer notes a timer that was due at due and fired at fired, the one before having fired at from.
func (k *track) noteTimer(from, due, fired time.Duration) {
	wait := fired - due
	k.n++
	k.peak = max(k.peak, wait)
	// Timers due in the meantime, the probe's own ticks that were missed among them, fire at the same moment: they are
	// the less late the later they were due.
	k.waits.addFalling(wait, 0)
	// How late a timer would have been before this one was due is unknown: this one is the sample for it.
	k.waits.add(wait, due-from)
}

// noteTrip notes a trip that was due at due, the one before having ended at from.
func (k *track) noteTrip(from, due time.Duration, t trip) {
	// While a byte is under way the wait is taken to stay what that byte's turns out to be: whoever comes later stands in
	// the same queue, which is as long then.
	wait, sent := t.wait(), t.sent
	k.waits.add(wait, wait)
	// A byte that was sent late, because its tick was, would have waited at least until it was sent, and so would all
	// that came in between: the longer the earlier, but no less than the byte. (Not the sum of both: had it been sent,
	// it would have stood in the queue meanwhile.) Less than the resolution of timers is no delay.
	longest, began := wait, sent
	if sent-due >= late {
		began = max(due, from)
		held := sent - began
		longest = max(held, wait)
		k.waits.addFalling(longest, wait)
		k.waits.add(wait, held-(longest-wait))
	}
	// What the wait would have been before is unknown. The byte before arrived after k.last, this one is as late as it is,
	// and somewhere in between that began: on average in the middle.
	gap := began - from
	k.waits.add(k.last, gap/2)
	k.waits.add(longest, gap-gap/2)
	k.n++
	k.peak = max(k.peak, longest)
	if gap > 1 {
		k.peak = max(k.peak, k.last)
	}
	k.last = wait
}

// dist describes the waits.
func (k *track) dist() Dist {
	if k.n == 0 {
		return Dist{}
	}
	d := distribution(k.waits[:], edges[:])
	d.N = k.n
	d.P50, d.P90, d.P99, d.Max = min(d.P50, k.peak), min(d.P90, k.peak), min(d.P99, k.peak), k.peak
	return d
}
