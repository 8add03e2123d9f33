package observe

import (
	"slices"
	"sync"
	"time"

	"github.com/grove-go/grove/taskgroup"
)

// pastSize is how many ended groups are remembered, and how many of those that did not end well.
const pastSize = 100

// past has the groups that ended last. A busy server goes through a hundred groups in a moment, so those that failed have
// a place of their own.
type past struct {
	mu       sync.Mutex
	all, bad ring[endedGroup]
}

type endedGroup struct {
	Name    string    `json:"name"`
	Func    string    `json:"func"`
	At      string    `json:"at"`
	Ended   time.Time `json:"ended"`
	Took    seconds   `json:"took"`
	Outcome string    `json:"outcome"`
	Error   string    `json:"error,omitempty"`
	// Stopping is the time from the cancellation to the end of the last task.
	Stopping seconds `json:"stopping,omitempty"`

	file string // and line: of At, which is written only for those who look
	line int
}

func (p *past) add(g taskgroup.GroupInfo, err error, now time.Time) {
	e := endedGroup{
		Name: title(g.Name, g.Func), Func: g.Func, file: g.File, line: g.Line,
		Ended: now, Took: seconds(now.Sub(g.Started)), Outcome: outcomeOf(err).String(),
	}
	if err != nil {
		e.Error = brief(err)
	}
	if !g.Canceled.IsZero() {
		e.Stopping = seconds(now.Sub(g.Canceled))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all.add(e)
	if err != nil {
		p.bad.add(e)
	}
}

// list returns the groups that ended last, and those that ended badly, the last first.
func (p *past) list() (all, bad []endedGroup) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all, bad = p.all.newestFirst(), p.bad.newestFirst()
	for _, list := range [][]endedGroup{all, bad} {
		for i := range list {
			list[i].At = place(list[i].file, list[i].line)
		}
	}
	return all, bad
}

// ring keeps the last pastSize things.
type ring[T any] struct {
	kept []T
	next int // where the next goes, once the ring is full
}

func (r *ring[T]) add(v T) {
	if len(r.kept) < pastSize {
		r.kept = append(r.kept, v)
		return
	}
	r.kept[r.next] = v
	r.next = (r.next + 1) % pastSize
}

func (r *ring[T]) oldestFirst() []T {
	return append(append(make([]T, 0, len(r.kept)), r.kept[r.next:]...), r.kept[:r.next]...)
}

func (r *ring[T]) newestFirst() []T {
	all := r.oldestFirst()
	slices.Reverse(all)
	return all
}
