package taskgroup

import "context"

// A slot is a task in the queue: the function alone when that is all there is, so that a plain Go allocates nothing
// but its closure.
type slot struct {
	f     func(context.Context) error
	named *Task // nil for a task without a name
}

// chunkSize is a trade: a chunk is one allocation for this many tasks, and the memory a group keeps when its
// queue ran empty.
const chunkSize = 31

type chunk struct {
	slots [chunkSize]slot
	next  *chunk
}

// queue is a FIFO of slots. Its first few lie inside it, so that a small group allocates none.
//
// Invariant: the slots in order are few[fewHead:fewTail], then those from head.slots[headIndex] to
// tail.slots[tailIndex-1] along next. few is filled only while no chunk is in use.
type queue struct {
	few                  [4]slot
	fewHead, fewTail     uint8
	headIndex, tailIndex uint8
	len                  int32
	head, tail           *chunk
	spare                *chunk // one emptied chunk, kept so that a queue that stays short does not allocate
}

func (q *queue) push(s slot) {
	q.len++
	if q.head == nil {
		if int(q.fewTail) < len(q.few) {
			q.few[q.fewTail] = s
			q.fewTail++
			return
		}
		q.head = q.newChunk()
		q.tail, q.headIndex, q.tailIndex = q.head, 0, 0
	} else if q.tailIndex == chunkSize {
		q.tail.next = q.newChunk()
		q.tail, q.tailIndex = q.tail.next, 0
	}
	q.tail.slots[q.tailIndex] = s
	q.tailIndex++
}

func (q *queue) newChunk() *chunk {
	if c := q.spare; c != nil {
		q.spare = nil
		return c
	}
	return new(chunk)
}

// pop removes the oldest slot; the queue must not be empty. What it leaves behind is cleared: a task's closure must
// not live longer than the task.
func (q *queue) pop() (s slot) {
	q.len--
	if q.fewHead < q.fewTail {
		s, q.few[q.fewHead] = q.few[q.fewHead], slot{}
		q.fewHead++
		if q.fewHead == q.fewTail {
			q.fewHead, q.fewTail = 0, 0
		}
		return s
	}
	c := q.head
	s, c.slots[q.headIndex] = c.slots[q.headIndex], slot{}
	q.headIndex++
	switch {
	case q.len == 0:
		q.head, q.tail, q.spare = nil, nil, c
	case q.headIndex == chunkSize:
		q.head, q.headIndex = c.next, 0
		c.next, q.spare = nil, c
	}
	return s
}
