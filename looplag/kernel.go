package looplag

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A kernel is what the operating system counts for the process, read from files by a goroutine of its own: who comes back
// from a system call may have to queue for a processor, and neither ticks nor bytes must.
type kernel struct {
	now     func() time.Duration
	orders  chan struct{}           // a tick orders a reading; has room for one
	reading atomic.Pointer[reading] // the last one

	root     fs.FS
	quota    *counterFile // cpu.stat of the process's cgroup
	pressure *counterFile // cpu.pressure of that, or of the machine

	threads map[string]threadTimes // as read last, by number
	ran     threadTimes            // of all threads there have ever been, as far as they were seen
}

// threadTimes are for how long a thread ran and for how long it waited to.
type threadTimes struct{ ran, waited time.Duration }

// A reading is what a kernel counted until a time.
type reading struct {
	at       time.Duration
	threads  int
	cpu      CPU
	pressure Pressure
	os       OS
}

// A counterFile is a file of counters that stays open, because opening it costs many times as much as reading it; nil
// when there is no such file.
type counterFile struct {
	file readerAtCloser
	buf  [1024]byte
}

type readerAtCloser interface {
	io.ReaderAt
	io.Closer
}

// openCounters opens the first of the named files that there is.
func openCounters(root fs.FS, names ...string) *counterFile {
	for _, name := range names {
		file, err := root.Open(name)
		if err != nil {
			continue
		}
		if stat, ok := file.(readerAtCloser); ok {
			return &counterFile{file: stat}
		}
		file.Close() //nolint:errcheck // it was only read
	}
	return nil
}

// read returns the beginning of the file, nothing if it cannot be read.
func (c *counterFile) read() string {
	if c == nil {
		return ""
	}
	n, err := c.file.ReadAt(c.buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return string(c.buf[:n])
}

func (c *counterFile) close() {
	if c != nil {
		c.file.Close() //nolint:errcheck // it was only read
	}
}

// openKernel opens what of it there is below root, and reads it.
func openKernel(root fs.FS, now func() time.Duration) *kernel {
	k := &kernel{now: now, orders: make(chan struct{}, 1), root: root}
	pressure := []string{"proc/pressure/cpu"}
	if dir, ok := groupOf(root); ok {
		k.quota = openCounters(root, path.Join(dir, "cpu.stat"))
		pressure = append([]string{path.Join(dir, "cpu.pressure")}, pressure...)
	}
	k.pressure = openCounters(root, pressure...)
	k.read()
	return k
}

// run carries out orders.
func (k *kernel) run() {
	for range k.orders {
		k.read()
	}
}

// close is called when run has ended.
func (k *kernel) close() {
	k.quota.close()
	k.pressure.close()
}

func (k *kernel) read() {
	r := reading{cpu: parseQuota(k.quota.read()), pressure: parsePressure(k.pressure.read()), os: k.readThreads()}
	r.at, r.threads = k.now(), len(k.threads)
	k.reading.Store(&r)
}

// order has the kernel read if the last reading is older than that, or than it may be considering that each thread costs
// microseconds.
func (k *kernel) order(now, age time.Duration) {
	const perThread = 3 * time.Millisecond // of which reading it takes some thousandths
	last := k.reading.Load()
	if now-last.at < max(age, time.Duration(last.threads)*perThread) {
		return
	}
	select {
	case k.orders <- struct{}{}:
	default: // it is being read
	}
}

// parsePressure reads "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345", the total in microseconds.
func parsePressure(text string) Pressure {
	for line := range strings.Lines(text) {
		if kind, rest, _ := strings.Cut(line, " "); kind == "some" {
			_, total, _ := strings.Cut(strings.TrimSpace(rest), "total=")
			usec, err := strconv.ParseUint(total, 10, 53)
			return Pressure{Some: time.Duration(usec) * time.Microsecond, OK: err == nil}
		}
	}
	return Pressure{}
}

// readThreads reads "ran waited turns" of every thread, in nanoseconds. The sums only grow: what a thread counted before
// it ended stays in them.
func (k *kernel) readThreads() OS {
	const tasks = "proc/self/task"
	entries, err := fs.ReadDir(k.root, tasks)
	if err != nil {
		return OS{}
	}
	measured := false
	threads := make(map[string]threadTimes, len(entries))
	for _, entry := range entries {
		text, err := fs.ReadFile(k.root, path.Join(tasks, entry.Name(), "schedstat"))
		if err != nil {
			continue // it has ended meanwhile, or nothing is counted
		}
		fields := strings.Fields(string(text))
		if len(fields) != 3 {
			continue
		}
		ran, err1 := strconv.ParseInt(fields[0], 10, 64)
		waited, err2 := strconv.ParseInt(fields[1], 10, 64)
		if err1 != nil || err2 != nil {
			continue
		}
		// Where the kernel does not count, there is the file, and zeros in it.
		measured = measured || fields[2] != "0"
		now, old := threadTimes{time.Duration(ran), time.Duration(waited)}, k.threads[entry.Name()]
		if now.ran < old.ran || now.waited < old.waited {
			old = threadTimes{} // another thread with the number of one that has ended
		}
		k.ran.ran += now.ran - old.ran
		k.ran.waited += now.waited - old.waited
		threads[entry.Name()] = now
	}
	k.threads = threads
	return OS{Ran: k.ran.ran, Waited: k.ran.waited, OK: measured}
}

// since is the difference of p and an earlier state; not measured unless both were.
func (p Pressure) since(old Pressure) Pressure {
	if !p.OK || !old.OK {
		return Pressure{}
	}
	return Pressure{Some: p.Some - old.Some, OK: true}
}

// since is the difference of o and an earlier state; not measured unless both were.
func (o OS) since(old OS) OS {
	if !o.OK || !old.OK {
		return OS{}
	}
	return OS{Ran: o.Ran - old.Ran, Waited: o.Waited - old.Waited, OK: true}
}

// since is the difference of r and an earlier reading.
func (r reading) since(old reading) reading {
	return reading{
		at: r.at - old.at, cpu: r.cpu.since(old.cpu), pressure: r.pressure.since(old.pressure), os: r.os.since(old.os),
	}
}
