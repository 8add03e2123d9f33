package taskgroup

// chunkSize is a trade: a chunk is one allocation for this many tasks, and the memory a group keeps when its
// queue ran empty.
const chunkSize = 31

type chunk struct {
	tasks [chunkSize]runner
	next  *chunk
}

// queue is a FIFO of tasks. Its first few lie inside it, so that a small group allocates none.
//
// Invariant: the tasks in order are few[fewHead:fewTail], then those from head.tasks[headIndex] to
// tail.tasks[tailIndex-1] along next. few is filled only while there are no others. A chunk that was emptied is kept behind
// tail, if there is none, so that a queue that stays short does not allocate.
type queue struct {
	few                  [3]runner
	fewHead, fewTail     uint8
	headIndex, tailIndex uint8
	len                  int32
	head, tail           *chunk
}

func (q *queue) push(t runner) {
	others := q.len > int32(q.fewTail-q.fewHead)
	q.len++
	if !others && int(q.fewTail) < len(q.few) {
		q.few[q.fewTail] = t
		q.fewTail++
		return
	}
	switch {
	case q.tail == nil:
		q.tail = new(chunk)
		q.head = q.tail
	case q.tailIndex == chunkSize:
		if q.tail.next == nil {
			q.tail.next = new(chunk)
		}
		q.tail, q.tailIndex = q.tail.next, 0
	}
	q.tail.tasks[q.tailIndex] = t
	q.tailIndex++
}

// pop removes the oldest task; the queue must not be empty. What it leaves behind is cleared: a task's closure must
// not live longer than the task.
func (q *queue) pop() (t runner) {
	q.len--
	if q.fewHead < q.fewTail {
		t, q.few[q.fewHead] = q.few[q.fewHead], nil
		q.fewHead++
		if q.fewHead == q.fewTail {
			q.fewHead, q.fewTail = 0, 0
		}
		return t
	}
	c := q.head
	t, c.tasks[q.headIndex] = c.tasks[q.headIndex], nil
	q.headIndex++
	switch {
	case q.len == 0: // so c is tail
		q.headIndex, q.tailIndex = 0, 0
	case q.headIndex == chunkSize:
		q.head, q.headIndex = c.next, 0
		if c.next = nil; q.tail.next == nil {
			q.tail.next = c
		}
	}
	return t
}

// peek returns what pop would; the queue must not be empty.
func (q *queue) peek() runner {
	if q.fewHead < q.fewTail {
		return q.few[q.fewHead]
	}
	return q.head.tasks[q.headIndex]
}
