package executor

import "maps"

// levels is how many levels of priority there are.
const levels = int(High-Low) + 1

// maxPassed is how many turns a level lets others have before it has one itself. It is counted in turns and not in time
// so that it means the same for calls of a microsecond and of a minute.
const maxPassed = 16

// queue has the calls that wait for a slot. It is guarded by Pool.mu.
//
// Each level has a ring of lanes that take turns, one for each key. Invariant: a lane is in its ring if and only if calls
// wait in it and its tenant may have one more running. Calls in other lanes wait, too, but not for a slot.
type queue struct {
	n       int         // calls
	at      [levels]int // those of each level
	longest int         // no lane is longer: what victim found last, and what has grown since
	rings   [levels]ring
	perKey  int                // how many calls of a key may run, 0 for any number
	tenants map[string]*tenant // those that have calls waiting or, with perKey, running
	room    int                // how many tenants the map has had at a time: it does not shrink by itself
	unkeyed tenant             // is never full
}

// ring is a circle of lanes.
type ring struct {
	next   *lane // has the next turn
	passed int   // turns of others since it had one, or since it was empty
}

// tenant is a key.
type tenant struct {
	key     string
	waiting int
	running int // counted if there is a perKey
	lanes   [levels]lane
}

// lane has the calls of one key and level, oldest first.
type lane struct {
	list
	tenant     *tenant
	level      int
	next, prev *lane // in the ring
}

func (q *queue) init(perKey int) {
	q.perKey = perKey
	q.tenants = make(map[string]*tenant)
	q.unkeyed.init("")
}

func (t *tenant) init(key string) {
	t.key = key
	for i := range t.lanes {
		t.lanes[i].tenant, t.lanes[i].level = t, i
	}
}

// tenant returns the tenant of a key, which it makes if there is none.
func (q *queue) tenant(key string) *tenant {
	if key == "" {
		return &q.unkeyed
	}
	t := q.tenants[key]
	if t == nil {
		t = new(tenant)
		t.init(key)
		q.tenants[key] = t
		q.room = max(q.room, len(q.tenants))
	}
	return t
}

// forget drops a tenant that has nothing to remember.
func (q *queue) forget(t *tenant) {
	if t.waiting == 0 && t.running == 0 && t != &q.unkeyed {
		delete(q.tenants, t.key)
		if q.room > maxKept && len(q.tenants) < q.room/4 {
			q.room = len(q.tenants)
			kept := make(map[string]*tenant, q.room)
			maps.Copy(kept, q.tenants)
			q.tenants = kept
		}
	}
}

// full reports whether no more calls of t, which may be nil, may run.
func (q *queue) full(t *tenant) bool { return q.perKey > 0 && t != nil && t.running >= q.perKey }

// occupy and vacate count the calls of t that run. They are for pools with perKey, and for tenants with a key.
func (q *queue) occupy(t *tenant) {
	if t.running++; t.running == q.perKey {
		for i := range t.lanes {
			q.leave(&t.lanes[i])
		}
	}
}

func (q *queue) vacate(t *tenant) {
	if t.running--; t.running == q.perKey-1 {
		for i := range t.lanes {
			q.join(&t.lanes[i])
		}
	}
	q.forget(t)
}

func (q *queue) push(c *call) {
	t := q.tenant(c.key)
	l := &t.lanes[c.priority-Low]
	l.push(c)
	c.lane = l
	t.waiting++
	q.n++
	q.at[l.level]++
	q.longest = max(q.longest, l.n)
	if l.n == 1 {
		q.join(l)
	}
}

func (q *queue) remove(c *call) {
	l := c.lane
	l.remove(c)
	c.lane = nil
	l.tenant.waiting--
	q.n--
	q.at[l.level]--
	if l.n == 0 {
		q.leave(l)
		q.forget(l.tenant)
	}
}

// join lets a lane take turns, after all others, if it can. leave takes it out of its ring if it is in.
func (q *queue) join(l *lane) {
	if l.n == 0 || l.next != nil || q.full(l.tenant) {
		return
	}
	r := &q.rings[l.level]
	if r.next == nil {
		l.next, l.prev = l, l
		r.next, r.passed = l, 0
		return
	}
	l.next, l.prev = r.next, r.next.prev
	l.prev.next, l.next.prev = l, l
}

func (q *queue) leave(l *lane) {
	if l.next == nil {
		return
	}
	r := &q.rings[l.level]
	switch {
	case l.next == l:
		r.next = nil
	case r.next == l:
		r.next = l.next
	}
	l.prev.next, l.next.prev = l.next, l.prev
	l.next, l.prev = nil, nil
}

// pop takes out the call that is to run next: of the level and the lane that have the turn the oldest or the newest. It
// returns nil if none may run.
func (q *queue) pop(newest bool) *call {
	if q.n == 0 {
		return nil
	}
	r := q.turn()
	if r == nil {
		return nil
	}
	l := r.next
	r.next = l.next
	c := l.head
	if newest {
		c = l.tail
	}
	q.remove(c)
	return c
}

// turn returns the ring that has the next turn, nil if all are empty.
func (q *queue) turn() *ring {
	var chosen *ring
	for i := levels - 1; i >= 0; i-- {
		if r := &q.rings[i]; r.next != nil && (chosen == nil || r.passed >= maxPassed) {
			aged := chosen != nil
			chosen = r
			if aged {
				break
			}
		}
	}
	for i := range q.rings {
		q.rings[i].passed++
	}
	if chosen != nil {
		chosen.passed = 0
	}
	return chosen
}

// each yields all lanes in which calls wait.
func (q *queue) each(yield func(*lane) bool) {
	for i := range q.unkeyed.lanes {
		if l := &q.unkeyed.lanes[i]; l.n > 0 && !yield(l) {
			return
		}
	}
	for _, t := range q.tenants {
		for i := range t.lanes {
			if l := &t.lanes[i]; l.n > 0 && !yield(l) {
				return
			}
		}
	}
}

// victim returns the call that has a weaker claim to a place in a full queue than c, which has none: the last of the
// longest lane of the lowest level, if that is below c's, or of c's own level if it would still be as long as c's lane.
// It returns nil if there is none.
func (q *queue) victim(c *call) *call {
	level, own := int(c.priority-Low), 0
	if t := q.tenants[c.key]; t != nil {
		own = t.lanes[level].n
	} else if c.key == "" {
		own = q.unkeyed.lanes[level].n
	}
	// Where many keys wait with a call or two of each, there is no need to look at all of them for every call.
	lower := 0
	for _, n := range q.at[:level] {
		lower += n
	}
	if lower == 0 && q.longest <= own+1 {
		return nil
	}
	var longest *lane
	q.longest = 0
	for l := range q.each {
		q.longest = max(q.longest, l.n)
		if longest == nil || l.level < longest.level || l.level == longest.level &&
			(l.n > longest.n || l.n == longest.n && l.tail.came > longest.tail.came) {
			longest = l
		}
	}
	if longest != nil && (longest.level < level || longest.level == level && longest.n > own+1) {
		return longest.tail
	}
	return nil
}

// oldest returns the call that has been waiting longest, nil if none waits.
func (q *queue) oldest() (oldest *call) {
	for l := range q.each {
		if oldest == nil || l.head.came < oldest.came {
			oldest = l.head
		}
	}
	return oldest
}
