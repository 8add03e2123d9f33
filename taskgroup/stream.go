package taskgroup

import (
	"context"
	"iter"
	"sync"

	"github.com/grove-go/grove/internal/fault"
	"github.com/grove-go/grove/internal/place"
)

// Stream calls f for each item of in, at most limit at a time, and yields the results in the order in which the calls
// end. The limit is 1 or more, or [Unlimited]. An item is pulled only while fewer than limit items are being worked on or
// wait to be yielded, so a slow loop body holds back f and in.
//
// The scope is the range statement: when it is left, by break, return or a panic in its body, the group is stopped and
// joined before the statement after it runs. Results that were not yielded are given to [Discard] then, and failures to
// nobody. A panic in the body waits for tasks that do not end for 30 seconds at most. A failure ends the sequence with one
// pair of a zero value and an [*Error]; so does the end of ctx if it left something undone. Under [KeepGoing] each failure
// is yielded as a zero value and a [*TaskError], and the sequence goes on; a Goexit, under [AsError], is in the final
// [*Error] alone. in is run as in [ForEach].
func Stream[E, R any](ctx context.Context, limit int, in iter.Seq[E], f func(ctx context.Context, e E) (R, error), opts ...Option) iter.Seq2[R, error] {
	return stream(ctx, "Stream", limit, in, f, opts, false)
}

// Ordered is [Stream] with the results in the order of the items. It ends at the first item that has no result, because its
// call failed or stopped when ctx had ended: nothing behind that is yielded but the final error. Under [KeepGoing] a
// failure is the result of its item.
func Ordered[E, R any](ctx context.Context, limit int, in iter.Seq[E], f func(ctx context.Context, e E) (R, error), opts ...Option) iter.Seq2[R, error] {
	return stream(ctx, "Ordered", limit, in, f, opts, true)
}

func stream[E, R any](ctx context.Context, name string, limit int, in iter.Seq[E], f func(context.Context, E) (R, error), opts []Option, ordered bool) iter.Seq2[R, error] {
	cfg := loopConfig(name, limit, in == nil, f == nil, opts)
	discard := discardOf[R](cfg)
	return func(yield func(R, error) bool) {
		g := newGroup(ctx, cfg, 0) // before Pull: what this panics with would leave the sequence behind
		next, stop := iter.Pull(kept(in))
		s := &streaming[E, R]{f: f, results: mailbox[R]{ordered: ordered}}
		s.loop = loop[E]{g: g, limit: slots(limit), next: next, stop: stop, do: s.handle, entry: place.Entry(f)}
		defer s.stopSequence()
		s.changed = sync.NewCond(&s.mu)
		s.got = func() int { return s.results.got }
		if discard != nil {
			s.discard = discard
			defer s.discardRest()
		}
		left := false // until it is, a panic or a Goexit of the loop body is what ends this function
		defer g.leaveUnless(&left)
		s.handOn()
		for r := range s.receive {
			if !yield(r.value, r.err) {
				left = true
				_ = g.Stop() // there is nobody to tell
				return
			}
		}
		left = true
		if err := g.Wait(); err != nil {
			var zero R
			yield(zero, err)
		}
	}
}

// streaming is a loop whose results are yielded.
type streaming[E, R any] struct {
	loop[E]
	f       func(context.Context, E) (R, error)
	discard func(R)    // nil if nobody wants what is not yielded
	results mailbox[R] // guarded by mu
	over    bool       // guarded by mu: what was not yielded has been discarded, and what comes now is, too
}

// handle calls f for one item. Whatever becomes of the call, one result is put for it: a later one may wait for its turn.
func (s *streaming[E, R]) handle(ctx context.Context, i int, e E) (err error) {
	r := result[R]{missed: true}
	defer func() {
		if r.missed && s.g.cfg.onPanic == AsError { // f has not returned
			if value := recover(); value != nil {
				r.err = fault.Recovered(value, s.origin().title())
			}
		}
		if r.err != nil {
			var zero R
			r.value = zero
			if s.g.cfg.keepGoing && !s.g.isEcho(ctx, r.err) {
				// It is yielded, so the group does not list it.
				err = s.g.watchedFailure(r.err, false)
				r.err, r.missed = s.g.failure(s.origin(), r.err), false
			} else {
				r.missed = true
				err = r.err
			}
		}
		s.mu.Lock()
		over := s.over
		if !over {
			s.results.put(i, r)
			s.changed.Signal()
		}
		s.mu.Unlock()
		if over && r.isValue() {
			s.discard(r.value)
		}
	}()
	r.value, r.err = s.f(ctx, e)
	r.missed = false
	return nil
}

// receive yields the results until there will be no more, or until the group has ended by itself, or an ordered loop has
// missed one. While it waits for one, a task lends its units, which those it waits for may need.
func (s *streaming[E, R]) receive(yield func(result[R]) bool) {
	outer := s.g.lender()
	for {
		s.mu.Lock()
		if s.awaitingLocked() {
			outer.lend()
			for s.awaitingLocked() {
				s.changed.Wait()
			}
			if outer != nil {
				s.mu.Unlock()
				outer.reclaim() // mu is free: this may block
				s.mu.Lock()
			}
		}
		if s.g.stoppedBy() != nil || !s.results.ready() {
			s.mu.Unlock()
			return
		}
		r := s.results.get()
		s.unlockAndHandOn()
		if s.results.ordered && r.missed && (r.err != nil || !s.g.cfg.keepGoing) {
			return // the group has ended, or is about to: without this item, what follows is out of order
		}
		if !r.missed && !yield(r) {
			return
		}
	}
}

// awaitingLocked reports whether the next result is still to come.
func (s *streaming[E, R]) awaitingLocked() bool {
	return s.g.stoppedBy() == nil && !s.results.ready() && s.tasks.Load() > 0
}

// stopSequence ends the sequence, unless a task that was given up is still in it. That task does it then.
func (s *streaming[E, R]) stopSequence() {
	s.mu.Lock()
	taking := s.taking
	s.mu.Unlock()
	if !taking {
		s.stop()
	}
}

// discardRest discards what was not yielded. All tasks have ended, or were given up and discard their results themselves.
func (s *streaming[E, R]) discardRest() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	for n := range s.results.ring { // nobody puts any more
		if r := s.results.at(s.results.got + n); r.there && r.isValue() {
			s.discard(r.value)
		}
	}
}

type result[R any] struct {
	value  R
	err    error
	missed bool // there is nothing to yield for this item
	there  bool // this is a result, and not the place of one that is still to come
}

func (r result[R]) isValue() bool { return !r.missed && r.err == nil }

// mailbox is a queue of results, in the order in which they come or in that of their items.
//
// The n-th result to be got is at ring[n & (len(ring)-1)]: the length is a power of two, and grows to the widest that the
// window has been.
type mailbox[R any] struct {
	ordered   bool
	ring      []result[R]
	came, got int // how many results were put, and how many were taken
}

// put adds the result of item i.
func (m *mailbox[R]) put(i int, r result[R]) {
	n := m.came
	if m.ordered {
		n = i
	}
	m.came++
	for n-m.got >= len(m.ring) {
		m.grow()
	}
	r.there = true
	*m.at(n) = r
}

func (m *mailbox[R]) grow() {
	old := *m
	m.ring = make([]result[R], max(8, 2*len(old.ring)))
	for n := m.got; n < m.got+len(old.ring); n++ {
		*m.at(n) = *old.at(n)
	}
}

func (m *mailbox[R]) at(n int) *result[R] { return &m.ring[n&(len(m.ring)-1)] }

// ready reports whether there is a result to get.
func (m *mailbox[R]) ready() bool { return len(m.ring) > 0 && m.at(m.got).there }

func (m *mailbox[R]) get() result[R] {
	at := m.at(m.got)
	r := *at
	*at = result[R]{} // nothing is kept of what was yielded
	m.got++
	return r
}
