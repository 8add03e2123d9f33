package observe

import (
	"fmt"
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

func (p *past) add(name string, g taskgroup.GroupInfo, err error, now time.Time, stopping time.Duration) {
	e := endedGroup{
		Name: name, Func: g.Func, file: g.File, line: g.Line,
		Ended: now, Took: seconds(now.Sub(g.Started)), Stopping: seconds(stopping), Outcome: outcomeOf(err).String(),
	}
	if err != nil {
		e.Error = brief(err)
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

// endedKind is groups of one name that have ended in the same way. The group is the last of them.
type endedKind struct {
	endedGroup
	Count int
}

// Times is how many there are, if they are several.
func (k endedKind) Times() string {
	if k.Count == 1 {
		return ""
	}
	return fmt.Sprintf("×%d", k.Count)
}

// merge puts groups of one name that have ended in the same way together: what one sees of a hundred is what they differ
// in. There are at most listed kinds; rest is how many groups are of none of them.
func merge(all []endedGroup) (kinds []endedKind, rest int) {
	for _, e := range all {
		i := slices.IndexFunc(kinds, func(k endedKind) bool { return k.Name == e.Name && k.Outcome == e.Outcome && k.Error == e.Error })
		switch {
		case i >= 0:
			kinds[i].Count++
		case len(kinds) < listed:
			kinds = append(kinds, endedKind{e, 1})
		default:
			rest++
		}
	}
	return kinds, rest
}

// listed is how many kinds of groups that have ended are shown to people.
const listed = 15
