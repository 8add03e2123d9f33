package taskgroup

import (
	"math"
	"runtime"
	"time"
)

// add queues a task and sees to it that a worker will take it. It reports whether it has.
func (g *Group) add(t runner, verb string, try bool) bool {
	g.check()
	g.watch.attend()
	g.mu.Lock()
	switch {
	case g.joined:
		g.mu.Unlock()
		if !try {
			panic("taskgroup: " + verb + " called after Wait returned")
		}
		return false
	case g.stopped.Load() != nil || try && g.parent.Err() != nil: // if the parent has ended, a worker skips t
		if !try {
			g.skipLocked(t)
		}
		g.mu.Unlock()
		return false
	case try && g.queue.len()+g.workers-int32(g.pending) >= g.cfg.limit:
		g.mu.Unlock()
		return false
	}
	g.queue.push(g.observed(t, false))
	spawn := g.wantWorkerLocked()
	g.mu.Unlock()
	if spawn {
		go g.worker()
	}
	return true
}

// wantWorkerLocked reports whether another worker is to be started, and counts it as pending.
//
// One pending worker would do for the invariant, and each that began would start the next. Up to one for each processor
// lets the idle ones join a burst at once, and for a longer one another, since the scheduler is slow to steal the goroutine
// that was started last; any more would only be goroutines that find nothing left to do.
func (g *Group) wantWorkerLocked() bool {
	if g.workers >= g.cfg.limit {
		return false
	}
	if g.pending > 0 {
		if g.procs == 0 { // asked late, and once: it takes a lock, and a group of one task need not know
			g.procs = uint8(min(runtime.GOMAXPROCS(0), math.MaxUint8-1))
		}
		if g.pending > g.procs || g.pending == g.procs && !g.queue.longer(2*int32(g.procs)) {
			return false
		}
	}
	if !g.queue.longer(int32(g.pending)) {
		return false
	}
	g.pending++
	g.workers++
	return true
}

// liveLocked reports whether there is something to wait for.
func (g *Group) liveLocked() bool { return g.workers > 0 || g.inline > 0 || g.background.running() }

// leftLocked has to be called when something is no longer live, with mu held, which it releases.
func (g *Group) leftLocked() {
	idle := g.workers == 0 && g.inline == 0
	g.mu.Unlock()
	if idle {
		g.left.Broadcast()
	}
}

// work is a worker: it runs tasks until none is queued. Its frame is small, and what needs more is called before and after
// a task: the stack of a new goroutine has about 1 KB to give, and should be the task's until it has to grow.
func (g *Group) work() {
	var t runner // the task that runs
	defer func() {
		if t != nil { // it has panicked or called Goexit
			g.interrupted(t, recover(), g.retire)
		}
	}()
	g.mu.Lock()
	g.pending--
	next, open := g.nextLocked()
	for next != nil {
		t = next
		if err := t.run((*taskContext)(g)); err != nil {
			g.returned(t, err) // looks into err, which is the task's code
		}
		t = nil
		// No need to look after the invariant before there is a lock: a claim does not make a pending worker fewer.
		if next = nil; open.claimable() > 0 && !g.ended() {
			next = open.claim()
		}
		if next == nil {
			g.mu.Lock()
			if g.queue.longer(0) {
				next, open = g.nextLocked()
			}
		}
	}
	g.workers--
	g.leftLocked()
}

// nextLocked returns the task that a worker is to run now, and where to claim those behind it. It releases mu then. If there
// is none it returns nil, and mu is still held.
func (g *Group) nextLocked() (runner, *chunk) {
	if g.ended() {
		g.skipQueueLocked()
	}
	t := g.queue.pop()
	if t == nil {
		return nil, nil
	}
	// The one that starts passes the duty on, or the invariant would end with it.
	spawn := g.pending == 0 && g.queue.longer(0) && g.wantWorkerLocked()
	open := g.queue.head
	g.mu.Unlock()
	if spawn {
		go g.worker()
	}
	return t, open
}

// returned deals with the error of a task.
//
//go:noinline
func (g *Group) returned(t runner, err error) { g.report((*taskContext)(g), t.origin(), err) }

// skipLocked counts a task that will not be started.
func (g *Group) skipLocked(t runner) {
	if i, ok := t.(interruptible); !ok || i.interrupted(nil) {
		g.recordLocked().skipped++
	}
}

// skipQueueLocked takes all tasks off the queue without starting them.
func (g *Group) skipQueueLocked() {
	for t := g.queue.pop(); t != nil; t = g.queue.pop() {
		g.skipLocked(t)
	}
}

// retire ends a worker whose task did not return.
func (g *Group) retire() {
	g.mu.Lock()
	g.workers--
	if g.pending == 0 && g.wantWorkerLocked() { // another takes its place, for the sake of the invariant
		g.mu.Unlock()
		go g.worker()
		return
	}
	g.leftLocked()
}

// join waits until nothing is live any more, and releases the context.
func (g *Group) join() {
	if g.cfg.limiter != nil {
		l := g.lender()
		l.lend()
		defer l.reclaim()
	}
	g.mu.Lock()
	for !g.joinedLocked() {
		g.left.Wait()
	}
	g.release()
}

// joinedLocked joins the group if nothing is live any more, and reports whether it has been joined. Once only background
// tasks are, it has them stop.
func (g *Group) joinedLocked() bool {
	for !g.joined && g.workers == 0 && g.inline == 0 {
		switch b := g.background; {
		case !b.running():
			g.settleLocked()
		case b.cancel != nil:
			g.stopBackgroundLocked() // mu was released: a background task may have started a task
		default:
			return false
		}
	}
	return g.joined
}

// release unlocks mu of a group that has been joined, and ends what the group holds on to.
func (g *Group) release() {
	g.mu.Unlock() // what is read from here on does not change any more
	if g.background != nil {
		g.releaseBackground()
	}
	if g.watch != nil {
		g.watch.ended(g.outcome.result()) // before announce, which would look like a cancellation
	}
	g.announce()
}

// leaveUnless, which is deferred, ends a group whose body, or loop body, has not returned.
func (g *Group) leaveUnless(returned *bool) {
	if *returned {
		return
	}
	if p := g.leave(); p != nil {
		if value := recover(); value != nil {
			panic(value) // the body's own panic goes before that of a task, and that before a Goexit
		}
		panic(p.Rethrown())
	}
}

// leave ends the group and returns the panic of a task. It waits for the tasks, but not for ever: a panic that is on its
// way must not be held back by a task that does not end.
func (g *Group) leave() *PanicError {
	g.Cancel(ErrStopped)
	joined := make(chan struct{})
	go func() {
		g.join()
		close(joined)
	}()
	timer := time.NewTimer(max(panicGrace, g.cfg.grace))
	defer timer.Stop()
	select {
	case <-joined:
	case <-timer.C:
		return nil
	}
	if g.outcome == nil {
		return nil
	}
	return g.outcome.panicked
}
