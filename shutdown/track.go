package shutdown

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"
)

// tracker counts the work that somebody has promised to finish.
type tracker struct {
	mu      sync.Mutex
	refused bool               // intake is closed: only requests in flight may add work
	over    bool               // nobody waits any more: nothing may be added
	work    map[*hook]struct{} // as hooks, so that reports can name what is left
	empty   chan struct{}      // closed when there is no work left; nil unless somebody waits
}

// Track makes the stop wait, in [InFlight], for a piece of work that is no request: call done when it has ended, once
// or more often. The name tells it apart in a report. Once intake is closed the work must not be begun: Track returns
// [ErrStopping], unless ctx is that of a request served by [HTTP] that is still in flight, or whose connection has
// another one in flight. Track does not wait, and it does not matter whether ctx has ended. If the work is stuck the
// report tells who called Track.
func (a *App) Track(ctx context.Context, name string) (done func(), err error) {
	a.mustBeMade()
	// The number of the goroutine would lead to the stack where it hangs, but costs a walk over the one it has now.
	var callers [8]uintptr
	n := runtime.Callers(2, callers[:])
	h := &hook{step: Step{Component: name, Phase: InFlight, Hook: "Track", Began: time.Now(), Running: true}, callers: callers[:n]}
	t := &a.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	accepted := !t.refused || ctx.Value(appKey{}) == a && requestInFlight(ctx)
	if t.over || !accepted {
		return nil, ErrStopping
	}
	if t.work == nil {
		t.work = make(map[*hook]struct{})
	}
	t.work[h] = struct{}{}
	return func() { t.done(h) }, nil
}

func (t *tracker) done(h *hook) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.work, h)
	if len(t.work) == 0 && t.empty != nil {
		t.over = true
		close(t.empty)
		t.empty = nil
	}
}

func (t *tracker) refuse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused = true
}

// wait returns a channel that is closed when the work has ended.
func (t *tracker) wait() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	empty := make(chan struct{})
	if len(t.work) == 0 {
		t.over = true
		close(empty)
		return empty
	}
	t.empty = empty
	return empty
}

// close ends the wait and returns the work that has not ended.
func (t *tracker) close() []*hook {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over, t.empty = true, nil
	return slices.Collect(maps.Keys(t.work))
}

// left returns the work that has not ended.
func (t *tracker) left() []*hook {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.work))
}

// awaitTracked waits for tracked work, and gives up on what has not ended by then.
func (a *App) awaitTracked(end time.Time) {
	empty := a.tracker.wait()
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	hurried := a.hurried
	for {
		select {
		case <-empty:
			return
		case <-hurried:
			timer.Reset(min(hurriedTimeout, time.Until(end)))
			hurried = nil
		case <-timer.C:
			a.giveUp(a.tracker.close()...)
			return
		}
	}
}
