package shutdown

import "time"

// Hooks observe an app; see [Config] and [App.Observe]. Any of the functions may be nil. They are called on the goroutine
// where the thing happens, without locks held, and several at a time; a slow one slows the app down. [App.Report], which
// they may call, tells the rest.
type Hooks struct {
	// PhaseBegan and PhaseEnded are called around each phase of the stop.
	PhaseBegan func(PhaseInfo)
	PhaseEnded func(PhaseInfo)
	// StepBegan is called before each function of a component. StepEnded is called once for each of them: when it has
	// returned, or when it is given up on, with Stuck and its stack. No two of them have the same Component and Hook.
	// Tracked work is told of only if it is stuck, by StepEnded.
	StepBegan func(Step)
	StepEnded func(Step)
}

// Observe adds observers. Those of Config.Hooks come first. It panics once Run has been called.
func (a *App) Observe(h *Hooks) {
	a.mustBeMade()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.called {
		panic("shutdown: Observe called after Run")
	}
	if h != nil {
		a.observers = append(a.observers, h)
	}
}

// PhaseInfo is a phase of a stop that has begun.
type PhaseInfo struct {
	Phase Phase
	Began time.Time
	// Deadline is when it has to be over.
	Deadline time.Time
	// Running tells that it has not ended. Took is how long it lasted, or has so far.
	Running bool
	Took    time.Duration
}

// ComponentInfo is a component at one moment.
type ComponentInfo struct {
	Name  string
	Phase Phase
	Needs []string
	// State is where it is in its life: "waiting" for its turn to start, "starting", "up", "stopping" or "over". One that
	// was not started, or failed to, stays as it is until its turn to stop. The steps tell about failures.
	State string
}

const (
	stateWaiting  = "waiting"
	stateStarting = "starting"
	stateUp       = "up"
	stateStopping = "stopping"
	stateOver     = "over"
)

func (a *App) enter(c *component, state string) {
	a.mu.Lock()
	c.state = state
	a.mu.Unlock()
}

func (a *App) beginPhase(at Phase, deadline time.Time) {
	p := PhaseInfo{Phase: at, Began: time.Now(), Deadline: deadline, Running: true}
	a.mu.Lock()
	a.phases = append(a.phases, p)
	a.mu.Unlock()
	for _, o := range a.observers {
		if o.PhaseBegan != nil {
			o.PhaseBegan(p)
		}
	}
}

func (a *App) endPhase() {
	a.mu.Lock()
	p := &a.phases[len(a.phases)-1]
	p.Running, p.Took = false, time.Since(p.Began)
	told := *p
	a.mu.Unlock()
	for _, o := range a.observers {
		if o.PhaseEnded != nil {
			o.PhaseEnded(told)
		}
	}
}

func (a *App) stepBegan(s Step) {
	for _, o := range a.observers {
		if o.StepBegan != nil {
			o.StepBegan(s)
		}
	}
}

func (a *App) stepEnded(s Step) {
	for _, o := range a.observers {
		if o.StepEnded != nil {
			o.StepEnded(s)
		}
	}
}
