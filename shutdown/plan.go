package shutdown

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// component is a Component in the course of a Run.
type component struct {
	Component
	needs   []*component // those of the same phase; phases order the others
	height  int          // of the chain of needs that ends here, within the phase, from 1
	started chan struct{}
	state   string // guarded by App.mu

	// run and cancelRun are set when Run is called, ready when Start has returned nil. All are written before started
	// is closed and read after it.
	ready     bool
	run       *hook
	cancelRun context.CancelCauseFunc
}

// turn is what a component does in one phase of the stop.
type turn struct {
	*component
	name string // of the hook
	stop func(context.Context) error
	main bool // the turn of Stop, Run and Kill, not one of the additional ones
	over chan struct{}
	wait []*turn // those that must be over before this one begins
}

// phase is what happens in one phase.
type phase struct {
	turns []*turn
	depth int // of the longest chain of turns that wait for one another
}

// plan is the order in which components stop. Reversed it is the order in which they start.
type plan [len(phaseNames)]phase

func (p *plan) phase(at Phase) *phase { return &p[at-Announce] }

func newPlan(components []Component) (*plan, error) {
	p := new(plan)
	p.phase(InFlight).depth = 1 // tracked work
	byName := make(map[string]*component, len(components))
	all := make([]*component, len(components))
	for i, c := range components {
		all[i] = &component{Component: c, started: make(chan struct{}), state: stateWaiting, cancelRun: func(error) {}}
		switch {
		case c.Name == "":
			return nil, fmt.Errorf("shutdown: component %d has no name", i)
		case byName[c.Name] != nil:
			return nil, fmt.Errorf("shutdown: two components have the name %q", c.Name)
		case c.Phase < Announce || c.Phase > Telemetry:
			return nil, fmt.Errorf("shutdown: %q has no phase: %v", c.Name, c.Phase)
		case c.StartTimeout < 0:
			return nil, fmt.Errorf("shutdown: %q has a StartTimeout of %v, but it must not be negative", c.Name, c.StartTimeout)
		case c.StopTimeout < 0:
			return nil, fmt.Errorf("shutdown: %q has a StopTimeout of %v, but it must not be negative", c.Name, c.StopTimeout)
		}
		byName[c.Name] = all[i]
	}
	for _, c := range all {
		for _, name := range c.Needs {
			need := byName[name]
			switch {
			case need == nil:
				return nil, fmt.Errorf("shutdown: %q needs %q, which does not exist", c.Name, name)
			case need.Phase < c.Phase:
				return nil, fmt.Errorf("shutdown: %q (%v) needs %q (%v), which stops before it", c.Name, c.Phase, name, need.Phase)
			case need.Phase == c.Phase:
				c.needs = append(c.needs, need)
			}
		}
	}
	turns := make(map[*component]*turn, len(all))
	for _, c := range all {
		if err := c.measure(nil); err != nil {
			return nil, err
		}
		turns[c] = p.add(c.Phase, &turn{component: c, name: "Stop", stop: c.Stop, main: true})
		if c.announce != nil {
			p.add(Announce, &turn{component: c, name: "Announce", stop: c.announce})
		}
		if c.intake != nil {
			p.add(Intake, &turn{component: c, name: "Intake", stop: c.intake})
		}
	}
	for _, c := range all {
		for _, need := range c.needs {
			turns[need].wait = append(turns[need].wait, turns[c])
		}
	}
	return p, nil
}

// order is the components in the order in which they stop.
func (p *plan) order() []*component {
	var all []*component
	for at := range p {
		first := len(all)
		for _, t := range p[at].turns {
			if t.main {
				all = append(all, t.component)
			}
		}
		slices.SortStableFunc(all[first:], func(c, d *component) int { return d.height - c.height })
	}
	return all
}

func (p *plan) add(at Phase, t *turn) *turn {
	t.over = make(chan struct{})
	ph := p.phase(at)
	ph.turns = append(ph.turns, t)
	ph.depth = max(ph.depth, t.following()+1)
	return t
}

// following is how many turns of the same phase may have to follow one after the other.
func (t *turn) following() int {
	if !t.main {
		return 0
	}
	return t.height - 1
}

// measure sets the height of c and of what it needs. path is who asked, and finds cycles.
func (c *component) measure(path []string) error {
	if c.height > 0 {
		return nil
	}
	path = append(path, c.Name)
	if c.height < 0 {
		return fmt.Errorf("shutdown: components need each other: %s", strings.Join(path, " needs "))
	}
	c.height = -1 // being measured
	height := 1
	for _, need := range c.needs {
		if err := need.measure(path); err != nil {
			return err
		}
		height = max(height, need.height+1)
	}
	c.height = height
	return nil
}

// A stuck hook must leave some time to those after it. lastMoment is how much each link of the chain is sure to get;
// where the budget is short they share half of it.
const lastMoment = 100 * time.Millisecond

// budget is the time that the phases up to last have in common.
type budget struct {
	last   Phase
	end    time.Time
	moment time.Duration
}

// budgets divides the time of a stop that began at t0: the phases before Resources share all but the reserve, Resources
// and Telemetry have the reserve and what the others leave.
func (p *plan) budgets(t0 time.Time, c Config) [2]budget {
	b := [2]budget{
		{last: Work, end: t0.Add(c.Timeout - c.Reserve), moment: c.Timeout - c.Reserve - c.DrainDelay},
		{last: Telemetry, end: t0.Add(c.Timeout), moment: c.Reserve},
	}
	for i, first := range []Phase{Announce, Resources} {
		links := 0
		for at := first; at <= b[i].last; at++ {
			links += p.phase(at).depth
		}
		b[i].moment = min(lastMoment, b[i].moment/time.Duration(2*max(links, 1)))
	}
	return b
}

// end is when a turn must be over that is followed by so many others of its phase: early enough for these, and for the
// phases after it, to have their moments.
func (p *plan) end(b budget, at Phase, following int) time.Time {
	for next := at + 1; next <= b.last; next++ {
		following += p.phase(next).depth
	}
	return b.end.Add(-b.moment * time.Duration(following))
}
