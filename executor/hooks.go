package executor

import (
	"context"
	"slices"
	"time"
)

// Hooks observe calls; see [Config.Hooks] and [Pool.Observe]. Any of the functions may be nil. They are called without
// locks held, and several at a time; a slow hook slows the calls down. ctx is the caller's. Each call has one of
// CallEnded and CallRefused, before its caller can know how it ended: on the goroutine of [Do], once the pool is through
// with the call, or for a [Future] on one of its own, for which [Pool.Drain] waits. Hooks are used by pointer and not changed
// once a pool has them. They should not drain or close the pool.
type Hooks struct {
	// CallEnded is called for a call whose fn was called. err is what the caller gets: what fn returned, a [*PanicError],
	// [ErrGoexit] or, if the caller leaves while fn runs, an [*AbandonedError]: nobody is told what fn comes to after that,
	// not even of a panic.
	CallEnded func(ctx context.Context, c CallInfo, err error)
	// CallRefused is called for a call whose fn is never called. err matches [ErrNotStarted].
	CallRefused func(ctx context.Context, c CallInfo, err error)
	// CallStuck is called for a call that has been running for [Config.StuckAfter], once and on a goroutine of its own, with
	// the stack that [Running] has. If its caller has left it has had its CallEnded; otherwise that comes later, if ever.
	CallStuck func(ctx context.Context, c CallInfo, stack []byte)
}

// CallInfo is a call as [Hooks] see it.
type CallInfo struct {
	// Pool is the pool's name, and Name the call's: what [Name] said, or else the name of fn.
	Pool, Name string
	// Key and Priority are what the options of these names said.
	Key      string
	Priority Level
	// Wait is the time until fn was called or the call was refused. Run is the time from then until fn returned or its
	// caller left, and 0 for a call that was refused.
	Wait, Run time.Duration
}

// Observe adds observers to those that the pool has: calls that begin from now on are reported to h, too. It may be
// called while calls run.
func (p *Pool) Observe(h *Hooks) {
	if h == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := observers{h}
	if old := p.observers.Load(); old != nil {
		all = append(slices.Clone(*old), h)
	}
	p.observers.Store(&all)
}

// observers are all hooks of a pool. A call reports to those that the pool had when it began.
type observers []*Hooks

// tell reports a call that has ended for its caller, who gets err.
func (o observers) tell(ctx context.Context, c *CallInfo, started bool, err error) {
	for _, h := range o {
		report := h.CallRefused
		if started {
			report = h.CallEnded
		}
		if report != nil {
			report(ctx, *c, err)
		}
	}
}

// watch notes who wants to know how c ends.
func (c *call) watch(p *Pool) {
	if all := p.observers.Load(); all != nil {
		c.observers, c.came, c.timed = *all, p.now(), true
	}
}

// tell reports c, which has ended for its caller, who gets err. It does nothing if nobody wants to know.
func (c *call) tell(p *Pool, err error) {
	if c.observers != nil {
		info, started := c.info(p)
		c.observers.tell(c.ctx.Context, &info, started, err)
	}
}

// info describes a call that has ended for its caller, and says whether it had started.
func (c *call) info(p *Pool) (info CallInfo, started bool) {
	info = p.describe(c)
	w := c.load()
	switch w.phase() {
	case waiting, refused:
		info.Wait = p.now() - c.came
		return info, false
	case abandoned:
		info.Run = c.err.(*AbandonedError).Running //nolint:errorlint,forcetypeassert // abandonLocked has made it
	default:
		info.Run = c.returned - w.started()
	}
	info.Wait = max(0, w.started()-c.came) // an inline call that starts at once has started before
	return info, true
}

// describe is what is known about c before it ends.
func (p *Pool) describe(c *call) CallInfo {
	return CallInfo{Pool: p.name, Name: c.label(), Key: c.key, Priority: c.priority}
}

// turnAway reports and returns the error of a call whose ctx has ended before anything was made for it.
func (p *Pool) turnAway(ctx context.Context, fn any, o CallOption) error {
	err := notStarted(context.Cause(ctx))
	if all := p.observers.Load(); all != nil {
		all.tell(ctx, &CallInfo{Pool: p.name, Name: label(o.name, fn), Key: o.key, Priority: o.level()}, false, err)
	}
	return err
}
