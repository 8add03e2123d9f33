package shutdown

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// killAfter is how long a hook may go on after its component's context has ended, before Kill.
	killAfter = time.Second
	// killWait is how long Kill itself is waited for.
	killWait = 100 * time.Millisecond
	// hurriedTimeout bounds the hooks that are called after the second signal.
	hurriedTimeout = time.Second
)

// stopAll stops what has started, phase by phase.
func (a *App) stopAll(ctx context.Context, p *plan) {
	early, late := 0, 1
	budgets := p.budgets(a.stoppedAt, a.config)
	a.notifyStopping()
	for at := Announce; at <= Telemetry; at++ {
		b := budgets[early]
		if at > b.last {
			b = budgets[late]
		}
		a.beginPhase(at, p.end(b, at, 0))
		var wg sync.WaitGroup
		for _, t := range p.phase(at).turns {
			wg.Go(func() {
				defer close(t.over)
				for _, before := range t.wait {
					<-before.over
				}
				if t.main {
					defer a.enter(t.component, stateOver)
				}
				if !t.ready {
					return
				}
				if t.main {
					a.enter(t.component, stateStopping)
				}
				a.take(ctx, t, at, max(b.moment, time.Until(p.end(b, at, t.following()))))
			})
		}
		if at == Announce {
			a.delay()
		}
		wg.Wait()
		switch at {
		case Intake:
			a.tracker.refuse()
		case InFlight:
			// Requests may track work until the last of them is over, so this comes after them.
			a.awaitTracked(p.end(b, at, 0))
		}
		a.endPhase()
	}
	a.mu.Lock()
	a.ended = time.Now()
	a.mu.Unlock()
}

// delay waits for the end of the drain delay, if there was anything up that could be sent work.
func (a *App) delay() {
	a.mu.Lock()
	up := a.up
	a.mu.Unlock()
	if !up {
		return
	}
	select {
	case <-time.After(time.Until(a.stoppedAt.Add(a.config.DrainDelay))):
	case <-a.hurried:
	}
}

// take is a component's turn, which is over no later than left from now: Stop, the end of the component's context, and
// the return of Run; then Kill.
func (a *App) take(base context.Context, t *turn, at Phase, left time.Duration) {
	cut := split(min(killAfter+killWait, left/2))
	patience := left - cut.grace - cut.kill
	if t.StopTimeout > 0 {
		patience = min(patience, t.StopTimeout)
	}
	hurried := a.hurried
	if isClosed(hurried) {
		patience, hurried = min(patience, hurriedTimeout), nil
	}
	ctx, cancel := context.WithTimeout(base, patience)
	defer cancel()

	var hooks []*hook
	if t.stop != nil {
		hooks = append(hooks, a.call(ctx, t.component, at, t.name, t.stop, nil, nil))
	} else if t.main {
		t.cancelRun(ErrStopping)
	}
	if t.main && t.run != nil {
		hooks = append(hooks, t.run)
	}
	if len(hooks) == 0 {
		return
	}
	select {
	case <-hooks[0].done:
	case <-ctx.Done():
	case <-hurried:
	}
	cancel()
	if t.main {
		t.cancelRun(ErrStopping)
	}
	if !a.returns(time.Now().Add(cut.grace), hooks...) {
		if a.giveUp(slices.DeleteFunc(hooks, func(h *hook) bool { return !h.runs() })...) && t.main {
			a.kill(base, t.component, cut.kill)
		}
	}
}

// parting is the time between the end of a component's context and the end of its turn.
type parting struct{ grace, kill time.Duration }

func split(d time.Duration) parting {
	kill := min(killWait, d/10)
	return parting{grace: d - kill, kill: kill}
}

// returns waits for the hooks and reports whether all of them have returned by then.
func (a *App) returns(by time.Time, hooks ...*hook) bool {
	timer := time.NewTimer(time.Until(by))
	defer timer.Stop()
	for _, h := range hooks {
		select {
		case <-h.done:
		case <-timer.C:
			return !slices.ContainsFunc(hooks, (*hook).runs)
		}
	}
	return true
}

// kill calls Kill, which must not wait. It is not trusted to.
func (a *App) kill(base context.Context, c *component, wait time.Duration) {
	if c.Kill == nil {
		return
	}
	h := a.call(base, c, c.Phase, "Kill", func(context.Context) error { return c.Kill() }, nil, nil)
	if !a.returns(time.Now().Add(wait), h) {
		a.giveUp(h)
	}
}
