package executor

import "context"

// BeginWarm begins an inline call in a warm slot as Do does, and calls meanwhile when it has the slot but is not yet to be
// seen running. It reports whether the call has begun.
func BeginWarm(ctx context.Context, p *Pool, meanwhile func()) bool {
	c := p.warm.take()
	meanwhile()
	return p.beginWarm(ctx, c, BeginWarm, CallOption{inline: true})
}

// EndWarm begins and ends such a call, and calls meanwhile when it is not to be seen running any more but has the slot.
func EndWarm(ctx context.Context, p *Pool, meanwhile func()) {
	c := p.warm.take()
	p.beginWarm(ctx, c, EndWarm, CallOption{inline: true})
	c.ctx.end()
	c.refill()
	c.word.Store(done)
	meanwhile()
	p.freeWarm(c)
}
