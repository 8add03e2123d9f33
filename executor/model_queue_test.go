package executor_test

import (
	"slices"
	"time"

	"github.com/grove-go/grove/executor"
)

// turns are the keys that have calls waiting that may run, by level and in the order of their turns.
type turns [3]struct {
	keys   []string
	passed int
}

// mayRun reports whether a key does not have as many calls running as it may.
func (m *model) mayRun(key string) bool {
	running := 0
	for _, c := range m.placed {
		if c.key == key {
			running++
		}
	}
	return key == "" || m.PerKey == 0 || running < m.PerKey
}

// lane is the calls of a key and level that wait.
func (m *model) lane(level int, key string) (lane []*modelCall) {
	for _, c := range m.queued {
		if c.key == key && c.level == executor.Level(level-1) {
			lane = append(lane, c)
		}
	}
	return lane
}

// arrange takes the keys out of the turns that have none any more, and puts those last that have one now.
func (m *model) arrange() {
	if len(m.queued) == 0 {
		m.crowded = time.Time{}
	}
	for level := range m.turns {
		at := &m.turns[level]
		due := func(key string) bool { return len(m.lane(level, key)) > 0 && m.mayRun(key) }
		at.keys = slices.DeleteFunc(at.keys, func(key string) bool { return !due(key) })
		for _, key := range keys {
			if due(key) && !slices.Contains(at.keys, key) {
				if len(at.keys) == 0 {
					at.passed = 0
				}
				at.keys = append(at.keys, key)
			}
		}
	}
}

// next is the call that gets a free slot, nil if there is none.
func (m *model) next() *modelCall {
	m.arrange()
	chosen := -1
	for level := 2; level >= 0; level-- {
		at := m.turns[level]
		if len(at.keys) == 0 {
			continue
		}
		if chosen >= 0 && at.passed >= 16 {
			chosen = level
			break
		}
		chosen = max(chosen, level)
	}
	if chosen < 0 {
		return nil
	}
	for level := range m.turns {
		m.turns[level].passed++
	}
	at := &m.turns[chosen]
	at.passed = 0
	key := at.keys[0]
	at.keys = append(at.keys[1:], key)
	lane := m.lane(chosen, key)
	c := lane[0]
	if m.overloaded() {
		c = lane[len(lane)-1]
	}
	m.queued = without(m.queued, c)
	return c
}

// fill gives free slots to calls that wait.
func (m *model) fill() {
	for len(m.placed) < m.Workers {
		c := m.next()
		if c == nil {
			m.crowded = time.Time{}
			return
		}
		m.placed = append(m.placed, c)
		m.arrange()
		m.start(c)
	}
}

func (m *model) overloaded() bool {
	return m.Overload != nil && !m.crowded.IsZero() && time.Since(m.crowded) >= m.Overload.Interval
}

// victim is the call that makes room for c in a full queue.
func (m *model) victim(c *modelCall) *modelCall {
	var longest []*modelCall
	for level := range m.turns {
		for _, key := range keys {
			lane := m.lane(level, key)
			if len(lane) > len(longest) || len(lane) > 0 && len(lane) == len(longest) &&
				lane[len(lane)-1].came.After(longest[len(longest)-1].came) {
				longest = lane
			}
		}
		if longest != nil {
			break
		}
	}
	if longest == nil {
		return nil
	}
	last := longest[len(longest)-1]
	own := len(m.lane(int(c.level)+1, c.key))
	if last.level < c.level || last.level == c.level && len(longest) > own+1 {
		return last
	}
	return nil
}
