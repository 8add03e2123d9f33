package store

// Progress is told how many of total characters are loaded. A nil Progress is told nothing.
type Progress func(done, total int)

// every is how many rows lie between two reports.
const every = 1000

// report calls p every so many rows and at the last one.
func (p Progress) report(done, total int) {
	if p != nil && (done%every == 0 || done == total) {
		p(done, total)
	}
}
