package executor

// list is a list of calls, from the middle of which calls can go. It is guarded by Pool.mu.
type list struct {
	head, tail *call
	n          int
	kind       kind
}

// kind says which links of a call a list uses: a call is in at most one list of each kind.
type kind uint8

const (
	byPlace kind = iota // lanes, the nested calls that wait, and the inline calls that run
	byAge               // all that are in the queue
)

type links struct {
	in         *list // the list that the call is in
	next, prev *call
}

func (l *list) push(c *call) {
	at := &c.links[l.kind]
	at.in, at.prev = l, l.tail
	if l.tail == nil {
		l.head = c
	} else {
		l.tail.links[l.kind].next = c
	}
	l.tail = c
	l.n++
}

func (l *list) pop() *call {
	c := l.head
	if c != nil {
		l.remove(c)
	}
	return c
}

func (l *list) remove(c *call) {
	at := &c.links[l.kind]
	if at.prev == nil {
		l.head = at.next
	} else {
		at.prev.links[l.kind].next = at.next
	}
	if at.next == nil {
		l.tail = at.prev
	} else {
		at.next.links[l.kind].prev = at.prev
	}
	*at = links{}
	l.n--
}
