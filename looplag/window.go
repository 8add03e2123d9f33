package looplag

import "time"

// slots is how many steps a window takes to pass by.
const slots = 10

// A mark is the state at one time.
type mark struct {
	at     time.Duration
	counts [histograms][]uint64 // of the runtime
	tally  tally
}

// marks are the states that a window needs, the oldest first: its beginning is the first mark. They are made at least a
// slot apart and all but the first are younger than the window is wide, so with a new one there are at most slots+2
// (the width of a slot is rounded down).
type marks struct {
	ring  [slots + 2]mark
	first int // modulo the length of ring
	n     int
}

func (m *marks) at(i int) *mark { return &m.ring[(m.first+i)%len(m.ring)] }

// push appends a mark, the state of which is still to be written.
func (m *marks) push() *mark {
	m.n++
	return m.at(m.n - 1)
}

// pop removes the oldest mark.
func (m *marks) pop() {
	m.first++
	m.n--
}
