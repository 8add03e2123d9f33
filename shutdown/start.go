package shutdown

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// startAll starts the components in the order of the plan, reversed, until one fails or the app is asked to stop.
func (a *App) startAll(ctx context.Context, p *plan) {
	for at := Telemetry; at >= Announce && !isClosed(a.stopping); at-- {
		var wg sync.WaitGroup
		for _, t := range p.phase(at).turns {
			if !t.main {
				continue
			}
			wg.Go(func() {
				defer close(t.started)
				for _, need := range t.needs {
					<-need.started
				}
				if !isClosed(a.stopping) {
					a.enter(t.component, stateStarting)
					a.start(ctx, t.component)
				}
				if t.ready {
					a.enter(t.component, stateUp)
				}
			})
		}
		wg.Wait()
	}
	if isClosed(a.stopping) {
		return
	}
	a.mu.Lock()
	a.up = true
	finished := a.runs > 0 && a.left == 0
	a.mu.Unlock()
	a.log.Info("shutdown: started")
	a.notifyReady()
	if finished {
		a.stop(everyRunReturned, nil, "")
	}
}

// start calls Start and, when that has returned nil, Run.
func (a *App) start(base context.Context, c *component) {
	if c.Start != nil && !a.callStart(base, c) {
		return
	}
	c.ready = true
	if c.Run == nil {
		return
	}
	ctx, cancel := context.WithCancelCause(base)
	c.cancelRun = cancel
	a.mu.Lock()
	a.runs++
	a.left++
	a.mu.Unlock()
	c.run = a.call(ctx, c, c.Phase, "Run", c.Run, func(err error) error {
		if ctx.Err() != nil && isEcho(err) {
			err = nil
		}
		return err
	}, func(err error) { a.runReturned(c, err) })
}

// callStart reports whether Start returned nil in time.
func (a *App) callStart(base context.Context, c *component) bool {
	ctx, cancel := context.WithCancelCause(base)
	defer cancel(nil)
	var timeout <-chan time.Time
	if c.StartTimeout > 0 {
		var free context.CancelFunc
		ctx, free = context.WithTimeout(ctx, c.StartTimeout)
		defer free()
		timeout = time.After(c.StartTimeout)
	}
	ready := false
	h := a.call(ctx, c, c.Phase, "Start", c.Start, func(err error) error {
		ready = err == nil
		if isClosed(a.stopping) && isEcho(err) {
			err = nil // interrupted, which is no failure of its own
		}
		return err
	}, nil)
	select {
	case <-h.done:
	case <-timeout:
	case <-a.stopping:
		cancel(ErrStopping)
	}
	// If a stop interrupts the start, this comes out of its budget, of which half is left for the hooks.
	cut := split(min(killAfter+killWait, (a.config.Timeout-a.config.Reserve)/2))
	if !a.returns(time.Now().Add(cut.grace), h) && a.giveUp(h) {
		a.stop(fmt.Sprintf("%q did not start", c.Name), nil, "")
		a.kill(base, c, cut.kill)
		return false
	}
	if h.step.Err != nil {
		a.stop(fmt.Sprintf("%q failed to start", c.Name), h.step.Err, hookName(c.Name, "Start"))
	}
	return ready
}

const everyRunReturned = "every Run has returned"

func (a *App) runReturned(c *component, err error) {
	a.mu.Lock()
	a.left--
	finished := a.up && a.left == 0
	a.mu.Unlock()
	switch {
	case err != nil:
		a.stop(fmt.Sprintf("%q failed", c.Name), err, hookName(c.Name, "Run"))
	case finished:
		a.stop(everyRunReturned, nil, "")
	}
}
