package taskgroup

import "context"

// background is the state of a group's background tasks.
type background struct {
	live   int                     // tasks that have not ended
	ctx    context.Context         // their context, made with the first of them
	cancel context.CancelCauseFunc // ends ctx; nil once it is to end
}

// running reports whether tasks have not ended. A nil background has none.
func (b *background) running() bool { return b != nil && b.live > 0 }

func (g *Group) startBackground(t Task) {
	g.watch.attend()
	g.mu.Lock()
	if g.joined {
		g.mu.Unlock()
		panic("taskgroup: Start called after Wait returned")
	}
	b := g.background
	if g.ended() || b != nil && b.cancel == nil {
		g.recordLocked().skipped++
		g.mu.Unlock()
		return
	}
	if b == nil {
		b = new(background)
		b.ctx, b.cancel = context.WithCancelCause(context.WithoutCancel((*groupContext)(g)))
		g.background = b
	}
	b.live++
	ctx := b.ctx
	g.mu.Unlock()
	go g.serve(ctx, g.observed(&described{Task: t}, true))
}

// serve runs a background task. Background tasks have a goroutine each: they are few, and live long.
func (g *Group) serve(ctx context.Context, t runner) {
	returned := false
	defer func() {
		if !returned {
			g.interrupted(t, recover(), g.served)
		}
	}()
	err := t.run(ctx)
	if err != nil && !g.isEcho(ctx, err) { // to stop when told is what it is there for, and not counted
		g.fail(t.origin(), err)
	}
	returned = true
	g.served()
}

// served ends a background task.
func (g *Group) served() {
	g.mu.Lock()
	g.background.live--
	g.leftLocked()
}

// stopBackgroundLocked tells the background tasks to stop. It releases mu while it does.
func (g *Group) stopBackgroundLocked() {
	cancel := g.background.cancel
	g.background.cancel = nil
	g.mu.Unlock()
	cancel(&CancelError{Group: g.cfg.name, Cause: ErrStopped})
	g.mu.Lock()
}

// releaseBackground ends the context of background tasks that have all ended, since it may have been handed out.
func (g *Group) releaseBackground() {
	g.mu.Lock()
	if g.background.cancel != nil {
		g.stopBackgroundLocked()
	}
	g.mu.Unlock()
}
