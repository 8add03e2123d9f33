package executor

// list is a queue of calls, from the middle of which calls can go. It is guarded by Pool.mu.
type list struct {
	head, tail *call
	n          int
}

func (l *list) push(c *call) {
	c.in, c.prev = l, l.tail
	if l.tail == nil {
		l.head = c
	} else {
		l.tail.next = c
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
	if c.prev == nil {
		l.head = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.tail = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.in, c.next, c.prev = nil, nil, nil
	l.n--
}
