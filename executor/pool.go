package executor

import (
	"errors"
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
	// MaxWait is how long a call may wait for a slot before it is refused with [ErrMaxWait]; any time if 0.
	MaxWait time.Duration
	// Overload keeps waits short when more calls come than can run; nothing does if it is nil.
	Overload *CoDel
	// PerKey is how many calls of one [Key] may run at a time; any number if 0. Others of that key wait meanwhile, even if
	// there are free slots.
	PerKey int
	// Limiter finds out how many calls are good to run at a time, at most Workers; it is always Workers if nil.
	Limiter Limiter
	// StuckAfter is how long a call may run before it is taken for stuck: it is reported to OnStuck and to Hooks, once, and
	// while all slots are taken by such calls, others are refused with [ErrShed] instead of waiting for a slot that
	// nobody expects to become free. 0 lets calls run for as long as they like.
	StuckAfter time.Duration
	// OnStuck is called on a goroutine of its own, for which Drain and Close wait: it should not call them itself.
	OnStuck func(Running)
	// Hooks observe the pool's calls, as those do that [Pool.Observe] adds.
	Hooks *Hooks
}

// Pool runs calls, at most Workers at a time. It is made by [New], may be used by several goroutines, and must be
// closed: workers wait for calls until then.
type Pool struct {
	name       string
	epoch      time.Time
	limiter    Limiter
	limiting   sync.Mutex // held while limiter is asked, and before mu
	stuckAfter time.Duration
	onStuck    func(Running)
	slot       slot
	timed      bool // calls need to know when exactly their fn was called
	warms      bool // slots may be kept warm

	contended atomic.Bool // nobody keeps a slot warm; changed with mu

	// returned are calls for reuse that have not been moved to free, linked by next. Calls are pushed one by one and
	// taken only all together, so a compare-and-swap cannot mistake one state for another.
	returned atomic.Pointer[call]

	observers atomic.Pointer[observers] // nil if nobody observes

	mu sync.Mutex // guards what follows

	workers      int
	queue        int  // how many calls may wait
	queueFollows bool // it is as long as there are workers

	// A slot is taken from when a call is admitted to it until neither that call nor a call nested in it runs.
	// Invariant: while taken < limit no call waits that may run; calls of a key that has enough running may not. No call
	// gets a slot while taken >= limit, and limit <= workers; both are equal if there is no limiter.
	taken   int
	limit   int
	allowed float64 // the limit, as the limiter has it
	queued  queue

	overload *overload // nil without MaxWait and Overload
	outbox   []*call   // refused, and to be told so; empty while nobody has mu

	// Of StuckAfter. Invariant: watching unless all calls that run have been reported.
	watching bool
	watchdog *time.Timer // nil before the first call
	stuck    int         // slots that are taken by a call that has been reported

	reporting int // what Drain waits for besides calls: reports of stuck and of expired calls, and Futures with observers

	idle    *worker // parked workers; the one parked last is woken first
	parked  int     // how many
	alive   []*worker
	refused Refusals

	inline list  // calls that run, or are about to, on their callers' goroutines, and warm ones
	warmed uint8 // the places in warm that belong to calls

	free *call // calls for reuse, linked by next
	kept int   // calls that are reused, wherever they are now

	drain *drain // nil until Drain

	warm warm // not guarded; far from what all calls read, since all inline calls write it
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
	if cfg.PerKey < 0 {
		return nil, fmt.Errorf("executor: Config.PerKey is %d, want at least 0", cfg.PerKey)
	}
	if cfg.MaxWait < 0 {
		return nil, fmt.Errorf("executor: Config.MaxWait is %v, want at least 0", cfg.MaxWait)
	}
	if cfg.StuckAfter < 0 {
		return nil, fmt.Errorf("executor: Config.StuckAfter is %v, want at least 0", cfg.StuckAfter)
	}
	if cfg.OnStuck != nil && cfg.StuckAfter == 0 {
		return nil, errors.New("executor: Config.OnStuck is set, want a StuckAfter above 0, too")
	}
	o, err := newOverload(cfg)
	if err != nil {
		return nil, err
	}
	p := &Pool{
		name: cfg.Name, workers: cfg.Workers, queue: cfg.Queue, limit: cfg.Workers, allowed: float64(cfg.Workers),
		overload: o, limiter: cfg.Limiter, stuckAfter: cfg.StuckAfter, onStuck: cfg.OnStuck,
		timed: cfg.Limiter != nil || o != nil || cfg.StuckAfter > 0, epoch: time.Now().Add(-1),
		warms: cfg.Limiter == nil && cfg.Overload == nil && cfg.PerKey == 0 && cfg.StuckAfter == 0,
	}
	switch cfg.Queue {
	case 0:
		p.queue, p.queueFollows = cfg.Workers, true
	case NoQueue:
		p.queue = 0
	}
	p.slot.pool = p
	p.queued.init(cfg.PerKey)
	p.Observe(cfg.Hooks)
	return p, nil
}

// now is the time since just before the pool was made, and more than 0: one clock for all ages.
func (p *Pool) now() time.Duration { return time.Since(p.epoch) }

// Stats is what a pool does at one moment.
type Stats struct {
	// Name is the pool's name.
	Name string
	// Workers is how many slots there are, Limit how many of them may be taken, which is fewer if a [Limiter] says so, and
	// Queue how many calls may wait for one.
	Workers, Limit, Queue int
	// Running is how many of them are taken. Calls nested in others share a slot.
	Running int
	// Queued is how many calls wait for a slot.
	Queued int
	// Stuck is how many slots are taken by calls that have been running for [Config.StuckAfter].
	Stuck int
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

// Refusals counts refused calls by their errors: [ErrQueueFull], [ErrMaxWait], [ErrShed] and [ErrClosed]. A call whose
// ctx ended before its turn is not among them: its caller left.
type Refusals struct{ QueueFull, MaxWait, Shed, Closed uint64 }

// Stats returns what the pool does now. It takes the pool's lock, for a time in proportion to the calls
// that run and the keys that wait.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{
		Name: p.name, Workers: p.workers, Limit: p.limit, Queue: p.queue,
		Running: p.taken - p.warm.count(), Queued: p.queued.n, Stuck: p.stuck, Refused: p.refused,
	}
	now := p.now()
	if c := p.queued.oldest(); c != nil {
		s.OldestQueued = now - c.came
	}
	for c := range p.placedLocked {
		w := c.load()
		if !w.inside() {
			continue
		}
		age := w.age(now)
		s.Oldest = max(s.Oldest, age)
		if w.phase() == abandoned {
			s.Abandoned++
			s.OldestAbandoned = max(s.OldestAbandoned, age)
		}
	}
	return s
}

// placedLocked yields the calls that run or are about to, each with its worker, or nil for an inline call. Of warm calls
// only the word may be looked at, except as [warm] says.
func (p *Pool) placedLocked(yield func(*call, *worker) bool) {
	for _, w := range p.alive {
		if w.call != nil && !yield(w.call, w) {
			return
		}
	}
	for c := p.inline.head; c != nil; c = c.links[byPlace].next {
		if !yield(c, nil) {
			return
		}
	}
}
