package executor

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// NoQueue is the Queue of a pool in which no call waits.
	NoQueue = -1
	// Unbounded is the Queue of a pool in which any number of calls may wait.
	Unbounded = 1<<31 - 1
)

// Config says how to build a [Pool].
type Config struct {
	// Name stands for the pool in errors and reports.
	Name string
	// Workers is how many calls may run at a time, at least 1. For code that blocks, it is what the other side bears;
	// for code that computes, about GOMAXPROCS.
	Workers int
	// Queue is how many calls may wait for a slot: as many as Workers if 0, none if [NoQueue], any number if
	// [Unbounded]. A long queue turns refusals into waiting, and waits cost memory and deadlines.
	Queue int
	// Hooks observe the pool's calls, as those do that [Pool.Observe] adds.
	Hooks *Hooks
}

// Pool runs calls, at most Workers at a time. It is made by [New], may be used by several goroutines, and must be
// closed: workers wait for calls until then.
type Pool struct {
	name    string
	workers int
	queue   int
	epoch   time.Time

	// returned are calls for reuse that have not been moved to free, linked by next. Calls are pushed one by one and
	// taken only all together, so a compare-and-swap cannot mistake one state for another.
	returned atomic.Pointer[call]

	observers atomic.Pointer[observers] // nil if nobody observes

	mu sync.Mutex // guards what follows

	// A slot is taken from when a call is admitted to it until neither that call nor a call nested in it runs.
	// Invariant: taken <= workers, and calls are queued only while taken == workers.
	taken  int
	queued list

	idle    *worker // parked workers; the one parked last is woken first
	parked  int     // how many
	alive   []*worker
	refused Refusals

	inline list // calls that run, or are about to, on their callers' goroutines

	free *call // calls for reuse, linked by next
	kept int   // calls that are reused, wherever they are now

	drain *drain // nil until Drain
}

// maxKept bounds the memory that stays with the pool once a long queue is gone.
const maxKept = 1024

// New makes a pool. It starts nothing; calls start the workers that they need. The error names the field of cfg that
// is out of its bounds.
func New(cfg Config) (*Pool, error) {
	if cfg.Workers < 1 {
		return nil, fmt.Errorf("executor: Config.Workers is %d, want at least 1", cfg.Workers)
	}
	if cfg.Queue < NoQueue || cfg.Queue > Unbounded {
		return nil, fmt.Errorf("executor: Config.Queue is %d, want %d (NoQueue) to %d (Unbounded)",
			cfg.Queue, NoQueue, Unbounded)
	}
	queue := cfg.Queue
	switch queue {
	case 0:
		queue = cfg.Workers
	case NoQueue:
		queue = 0
	}
	p := &Pool{name: cfg.Name, workers: cfg.Workers, queue: queue, epoch: time.Now()}
	p.Observe(cfg.Hooks)
	return p, nil
}

// now is the time since the pool was made: one clock for all ages.
func (p *Pool) now() time.Duration { return time.Since(p.epoch) }

// Stats is what a pool does at one moment.
type Stats struct {
	// Name is the pool's name.
	Name string
	// Workers is how many slots there are, and Queue how many calls may wait for one.
	Workers, Queue int
	// Running is how many of them are taken. Calls nested in others share a slot.
	Running int
	// Queued is how many calls wait for a slot.
	Queued int
	// Abandoned is how many calls run although their caller has left.
	Abandoned int
	// Oldest is for how long the call that runs longest has been running, 0 if none runs.
	Oldest time.Duration
	// OldestAbandoned is the same among the abandoned calls, and OldestQueued is for how long the first of those that
	// wait for a slot has been waiting.
	OldestAbandoned, OldestQueued time.Duration
	// Refused counts the calls that the pool has refused since it was made.
	Refused Refusals
}

// Refusals counts refused calls by their errors: [ErrQueueFull] and [ErrClosed]. Calls whose ctx ended before their turn
// are not counted: they were not refused by the pool.
type Refusals struct{ QueueFull, Closed uint64 }

// Stats returns what the pool does now. It takes the pool's lock and time in proportion to the calls that run.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{
		Name: p.name, Workers: p.workers, Queue: p.queue, Running: p.taken, Queued: p.queued.n, Refused: p.refused,
	}
	now := p.now()
	if p.queued.n > 0 {
		s.OldestQueued = now - p.queued.head.came
	}
	for c := range p.placedLocked {
		w := c.load()
		if !w.inside() {
			continue
		}
		age := now - w.started()
		s.Oldest = max(s.Oldest, age)
		if w.phase() == abandoned {
			s.Abandoned++
			s.OldestAbandoned = max(s.OldestAbandoned, age)
		}
	}
	return s
}

// placedLocked yields the calls that run or are about to, each with its worker, or nil for an inline call.
func (p *Pool) placedLocked(yield func(*call, *worker) bool) {
	for _, w := range p.alive {
		if w.call != nil && !yield(w.call, w) {
			return
		}
	}
	for c := p.inline.head; c != nil; c = c.next {
		if !yield(c, nil) {
			return
		}
	}
}
