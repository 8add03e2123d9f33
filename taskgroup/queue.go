package taskgroup

import "sync/atomic"

// A chunk holds tasks of a queue. Those in its window can be claimed without Group.mu.
//
// Invariant: the window is opened only at its end, under Group.mu, and only over tasks that are there. Each of its tasks
// is claimed by one compare-and-swap, and who has claimed it owns its place. A chunk is not used again: a claim that is
// late finds nothing.
type chunk struct {
	window atomic.Uint64 // tasks[low half:high half]
	next   *chunk
	tasks  []runner
}

// newChunk makes a chunk in one allocation. The sizes are trades: a chunk is what a group keeps when its queue ran empty,
// and what is claimed without a lock.
func newChunk(first bool) *chunk {
	if first {
		c := new(struct {
			chunk
			places [13]runner // 256 bytes with the rest
		})
		c.tasks = c.places[:]
		return &c.chunk
	}
	c := new(struct {
		chunk
		places [61]runner // 1 KiB
	})
	c.tasks = c.places[:]
	return &c.chunk
}

// claim takes the oldest task out of the window, and returns nil if it is empty. A nil chunk has none.
func (c *chunk) claim() runner {
	if c == nil {
		return nil
	}
	for {
		w := c.window.Load()
		if uint32(w) == uint32(w>>32) {
			return nil
		}
		if c.window.CompareAndSwap(w, w+1) {
			return c.take(uint32(w))
		}
	}
}

// open opens the window, which is empty, over n more tasks and claims the first of them.
func (c *chunk) open(n int32) runner {
	return c.take(uint32(c.window.Add(uint64(n)<<32+1)) - 1)
}

// claimable is how many tasks are in the window.
func (c *chunk) claimable() int32 {
	if c == nil {
		return 0
	}
	w := c.window.Load()
	return int32(w>>32) - int32(uint32(w))
}

// take empties a place: a task's closure must not live longer than the task.
func (c *chunk) take(i uint32) (t runner) {
	t, c.tasks[i] = c.tasks[i], nil
	return t
}

// queue is a FIFO of tasks, guarded by Group.mu but for the window of head. Its first few lie inside it, so that a small
// group allocates none.
//
// Invariant: the tasks in order are few[fewHead:fewTail], those in the window of head, and then closed ones, from the end
// of that window to tail.tasks[tailIndex-1] along next. few is filled only while there are no others, and the window
// opened only while there are no few. No chunk but head has a window that was ever opened.
type queue struct {
	closed           int32
	tailIndex        uint8
	fewHead, fewTail uint8
	head, tail       *chunk
	few              [3]runner
}

// len is how many tasks there are: at most that many, while workers claim some.
func (q *queue) len() int32 { return q.unopened() + q.head.claimable() }

// unopened is how many of them are not in the window.
func (q *queue) unopened() int32 { return int32(q.fewTail-q.fewHead) + q.closed }

// longer reports whether there are more than n tasks. It looks at the window, which workers write, only if it has to.
func (q *queue) longer(n int32) bool { return q.unopened() > n || q.len() > n }

func (q *queue) push(t runner) {
	if int(q.fewTail) < len(q.few) && q.closed == 0 && q.head.claimable() == 0 {
		q.few[q.fewTail] = t
		q.fewTail++
		return
	}
	switch {
	case q.tail == nil:
		q.tail = newChunk(true)
		q.head = q.tail
	case int(q.tailIndex) == len(q.tail.tasks):
		q.tail.next = newChunk(false)
		q.tail, q.tailIndex = q.tail.next, 0
	}
	q.tail.tasks[q.tailIndex] = t
	q.tailIndex++
	q.closed++
}

// pop removes the oldest task and opens the window over those behind it. It returns nil if there is none.
func (q *queue) pop() (t runner) {
	if q.fewHead < q.fewTail {
		t, q.few[q.fewHead] = q.few[q.fewHead], nil
		q.fewHead++
		if q.fewHead == q.fewTail {
			q.fewHead, q.fewTail = 0, 0
		}
		return t
	}
	if t = q.head.claim(); t != nil || q.closed == 0 {
		return t
	}
	from := q.first()
	end := int32(len(q.head.tasks))
	if q.head == q.tail {
		end = int32(q.tailIndex)
	}
	q.closed -= end - from
	return q.head.open(end - from)
}

// first makes head the chunk of the first closed task, of which there must be one, and returns its place. The window
// must be empty.
func (q *queue) first() int32 {
	if end := int32(q.head.window.Load() >> 32); end < int32(len(q.head.tasks)) {
		return end
	}
	q.head = q.head.next
	return 0
}

// peek returns what pop would; the queue must not be empty, and only its caller may claim tasks.
func (q *queue) peek() runner {
	switch {
	case q.fewHead < q.fewTail:
		return q.few[q.fewHead]
	case q.head.claimable() > 0:
		return q.head.tasks[uint32(q.head.window.Load())]
	default:
		return q.head.tasks[q.first()]
	}
}
