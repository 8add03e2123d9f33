package looplag

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a [Probe] is made from. The zero Config suits most programs.
type Config struct {
	// Interval is the time between two ticks while something is late, IdleInterval while nothing is. 0 means 10 ms, and
	// 250 ms, but not more than a Window that is given and not less than Interval. Shorter ones see more and cost more: see
	// the package's section on cost. Interval must be at least 1 ms, IdleInterval at least Interval.
	Interval, IdleInterval time.Duration
	// Window is how far back a [Snapshot] looks. 0 means 2.5 s or IdleInterval, whichever is longer. It must be at
	// least IdleInterval.
	Window time.Duration
	// Queue adds the queue probe, which tells apart the wait for a processor from the wait for the network poller: see
	// [Snapshot.Queue].
	Queue bool
	// Pipe makes the pipe of the net probe; nil means os.Pipe. Run closes the writer and then the reader, which must end
	// their calls. It is the seam for tests: see the package's section on testing.
	Pipe func() (io.ReadCloser, io.WriteCloser, error)
	// Root is the file system in which proc and sys are looked up; nil means the machine's. CPU and Pressure are
	// measured only if its files implement io.ReaderAt, as those of os.DirFS do.
	Root fs.FS
}

// A Probe measures how late the scheduler is. Its methods may be called by several goroutines at once. Use [New].
type Probe struct {
	cfg  Config
	base time.Time // the times of the probe count from here

	active atomic.Bool
	due    atomic.Int64             // when the tick that is awaited or at work was or is due; 0 while Run does not run
	sent   atomic.Int64             // when the net probe's byte that is under way was sent; 0 while none is
	hopped atomic.Int64             // when the queue probe's goroutine that is not running yet was woken; 0 while it waits
	view   atomic.Pointer[Snapshot] // what the last tick saw; nil while Run does not run

	mu      sync.Mutex // guards what follows; held for microseconds, by ticks and by a Snapshot without Run
	record  record
	ignored time.Duration // when the probe itself stopped the world last

	watchers watchers
}

// New returns a Probe. It starts nothing: a Probe that does not run costs memory, about 130 KB, and no time. New panics
// if a field of cfg is out of its bounds.
func New(cfg Config) *Probe {
	cfg.Interval = cmp.Or(cfg.Interval, 10*time.Millisecond)
	const idle = 250 * time.Millisecond
	cfg.IdleInterval = cmp.Or(cfg.IdleInterval, max(min(idle, cmp.Or(cfg.Window, idle)), cfg.Interval))
	cfg.Window = cmp.Or(cfg.Window, max(2500*time.Millisecond, cfg.IdleInterval))
	atLeast("Interval", cfg.Interval, time.Millisecond)
	atLeast("IdleInterval", cfg.IdleInterval, cfg.Interval)
	atLeast("Window", cfg.Window, cfg.IdleInterval)
	if cfg.Pipe == nil {
		cfg.Pipe = func() (io.ReadCloser, io.WriteCloser, error) { return os.Pipe() }
	}
	if cfg.Root == nil {
		cfg.Root = os.DirFS("/")
	}
	p := &Probe{cfg: cfg, base: time.Now()}
	p.record.init(cfg.Window)
	return p
}

func atLeast(field string, value, bound time.Duration) {
	if value < bound {
		panic(fmt.Sprintf("looplag: Config.%s is %v, must be at least %v", field, value, bound))
	}
}

func (p *Probe) mustBeMade() {
	if p.cfg.Pipe == nil {
		panic("looplag: a Probe that New has not made")
	}
}

// now is the time on the probe's clock.
func (p *Probe) now() time.Duration { return time.Since(p.base) }

// Run measures until ctx ends and returns the cause of that, or it returns why the pipe of the net probe could not be
// made or broke. It blocks meanwhile, has three more goroutines (five with Config.Queue) and the pipe, and leaves neither behind. A Probe that does
// not run any more can be run again; a second Run beside the first panics.
func (p *Probe) Run(ctx context.Context) error {
	p.mustBeMade()
	if !p.active.CompareAndSwap(false, true) {
		panic("looplag: Run called while the probe runs")
	}
	defer p.active.Store(false)
	r, w, err := p.cfg.Pipe()
	if err != nil {
		return fmt.Errorf("looplag: net probe: %w", err)
	}
	t := p.begin()
	t.done = ctx.Done()
	var helpers sync.WaitGroup
	helpers.Go(func() { t.courier.send(w) })
	helpers.Go(func() { t.courier.receive(r) })
	helpers.Go(t.kernel.run)
	if t.cfg.Queue {
		helpers.Go(t.hopper.run)
		helpers.Go(t.hopper.pusher)
	}
	defer func() {
		close(t.courier.orders)
		close(t.kernel.orders)
		t.hopper.end()
		w.Close() //nolint:errcheck // this is how the courier learns of the end
		r.Close() //nolint:errcheck // likewise
		helpers.Wait()
		t.reports.Wait()
		t.end()
	}()

	t.next(t.last)
	ticker := time.NewTicker(t.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-t.courier.failed:
			return fmt.Errorf("looplag: net probe: %w", err)
		case fired := <-ticker.C:
			t.tick()
			if t.next(fired.Sub(t.base)) {
				ticker.Reset(t.interval)
			}
		}
	}
}

// Snapshot returns what is known about the last window: while Run runs, what a tick saw, at most an interval or 10 ms
// ago, whichever is longer, without taking a lock; otherwise what the runtime tells by itself, Timer, Net, Queue, CPU,
// Pressure and OS not being measured. It does not block and allocates nothing; BenchmarkSnapshot has its cost.
func (p *Probe) Snapshot() Snapshot {
	var s Snapshot
	if view := p.view.Load(); view != nil {
		s = *view
	} else {
		s = p.look()
	}
	s.Overdue = p.Overdue()
	return s
}

// look takes a reading of the runtime and describes the window that it ends.
func (p *Probe) look() Snapshot {
	p.mustBeMade()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.record.meter.read()
	return p.record.advance(now)
}

// Overdue returns how late the probe is right now: for how long its tick has been due, or for how long its byte has been
// under way, whichever is longer; 0 when it is on time or Run does not run. Unlike [Snapshot.Net] it grows while the
// probe itself is stuck. It takes no lock; BenchmarkOverdue has its cost.
func (p *Probe) Overdue() time.Duration {
	due, sent := p.due.Load(), p.sent.Load()
	if due == 0 {
		return 0
	}
	now := p.now()
	overdue := now - time.Duration(due)
	if sent != 0 {
		overdue = max(overdue, now-time.Duration(sent))
	}
	return max(overdue, 0)
}
