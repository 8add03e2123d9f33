package looplag

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/grove-go/grove/internal/stacks"
)

// A Loop is an event loop of the application, whose turns are to be short: see [Probe.Watch]. Begin and End are called by
// the loop's own goroutine, always the same; Close by any.
type Loop struct {
	probe *Probe
	name  string
	max   time.Duration

	began     atomic.Int64  // a nanosecond after the turn began; 0 between turns
	goroutine atomic.Uint64 // the loop's; 0 before the first turn

	// Written by the loop's goroutine alone.
	turns, late    atomic.Uint64
	spent, longest atomic.Int64
}

// LoopInfo describes a watched loop.
type LoopInfo struct {
	Name    string
	Max     time.Duration // what a turn may take
	Busy    time.Duration // for how long the present turn has lasted; 0 between turns
	Turns   uint64        // how many have ended
	Late    uint64        // how many of them took longer than Max
	Spent   time.Duration // what they took together
	Longest time.Duration // what the longest of them took
}

// Watch returns a Loop for a goroutine that handles one event after another and must handle each within limit:
//
//	loop := probe.Watch("hub", 50*time.Millisecond)
//	defer loop.Close()
//	for event := range events {
//		loop.Begin()
//		handle(event)
//		loop.End()
//	}
//
// While Run runs, a turn that lasts longer is reported to every function given to [Probe.OnBreach], with the line of
// code it is at: once, and again whenever it has lasted twice as long as at the report before. A turn is looked at by
// the ticks, so one that ends between two of them is counted in [LoopInfo.Late] but not reported. The time between
// turns is never held against a loop, nor is the time for which the whole process was stopped. Names need not differ.
// Watch panics if limit is not positive.
func (p *Probe) Watch(name string, limit time.Duration) *Loop {
	if limit <= 0 {
		panic(fmt.Sprintf("looplag: Watch called with a limit of %v, must be positive", limit))
	}
	l := &Loop{probe: p, name: name, max: limit}
	p.watchers.mu.Lock()
	defer p.watchers.mu.Unlock()
	p.watchers.loops = append(p.watchers.loops, l)
	return l
}

// Begin begins a turn. It panics if the last one has not ended. BenchmarkTurn has the cost of Begin and End; the first
// Begin costs microseconds more, because it asks for the number of the goroutine.
func (l *Loop) Begin() {
	if l.began.Load() != 0 {
		panic("looplag: Begin called within a turn")
	}
	if l.goroutine.Load() == 0 {
		l.goroutine.Store(stacks.ID())
	}
	l.began.Store(int64(l.probe.now()) + 1)
}

// End ends the turn. It panics if none has begun.
func (l *Loop) End() {
	began := l.began.Load()
	if began == 0 {
		panic("looplag: End called outside of a turn")
	}
	took := int64(l.probe.now()) + 1 - began
	l.began.Store(0)
	// There is one writer, so nothing is lost between a Load and its Store.
	l.turns.Store(l.turns.Load() + 1)
	l.spent.Store(l.spent.Load() + took)
	if took > l.longest.Load() {
		l.longest.Store(took)
	}
	if took > int64(l.max) {
		l.late.Store(l.late.Load() + 1)
	}
}

// Close ends the watch: the loop is neither listed nor reported any more. It does not block, and may be called again.
func (l *Loop) Close() {
	w := &l.probe.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loops = slices.DeleteFunc(w.loops, func(other *Loop) bool { return other == l })
	for _, r := range w.reporters {
		r.suppress(l)
		delete(r.told, l)
	}
}

// Loops returns the loops that are watched, in the order of their Watch. It does not need Run.
func (p *Probe) Loops() []LoopInfo {
	p.watchers.mu.Lock()
	defer p.watchers.mu.Unlock()
	infos := make([]LoopInfo, len(p.watchers.loops))
	now := p.now()
	for i, l := range p.watchers.loops {
		infos[i] = l.info(now)
	}
	return infos
}

func (l *Loop) info(now time.Duration) LoopInfo {
	info := LoopInfo{
		Name: l.name, Max: l.max,
		Turns: l.turns.Load(), Late: l.late.Load(),
		Spent: time.Duration(l.spent.Load()), Longest: time.Duration(l.longest.Load()),
	}
	if began := l.began.Load(); began != 0 {
		info.Busy = max(0, now+1-time.Duration(began))
	}
	return info
}
