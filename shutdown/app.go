package shutdown

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"
)

// Config is what an App is made with. The zero value of each field is a default that suits most services.
type Config struct {
	// Timeout is how long a stop may take, from what asked for it to the return of Run: 25 s by default, which is 5 s
	// less than Kubernetes and systemd wait before they kill.
	Timeout time.Duration
	// DrainDelay is how long the app goes on accepting work after it has announced its stop, so that load balancers
	// have time to send it elsewhere: 0 by default. It is part of Timeout.
	DrainDelay time.Duration
	// ReadinessDelay is how long [App.Readyz] goes on answering 200 after the stop has begun, for load balancers that
	// drop the connections of what is not ready: 0 by default.
	ReadinessDelay time.Duration
	// Reserve is the part of Timeout that only the phases Resources and Telemetry may use: a fifth of it by default.
	Reserve time.Duration
	// Signals are those that stop the app: os.Interrupt and SIGTERM by default. None if empty and not nil.
	Signals []os.Signal
	// Logger is told when the app has started, begins to stop and has stopped, and at once what has failed or is stuck:
	// slog.Default by default.
	Logger *slog.Logger
	// Hooks observe the app, as those given to [App.Observe] do; nil for none.
	Hooks *Hooks

	// SignalSource delivers the signals instead of the operating system, in tests. It must not be closed.
	SignalSource <-chan os.Signal
	// Exit ends the process at the third signal: os.Exit by default. If it returns, Run returns too.
	Exit func(int)
}

// withDefaults returns c with its zero fields filled in, or what is wrong with the others.
func (c Config) withDefaults() (Config, error) {
	if c.Timeout == 0 {
		c.Timeout = 25 * time.Second
	}
	if c.Reserve == 0 {
		c.Reserve = c.Timeout / 5
	}
	if c.Signals == nil {
		c.Signals = []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Exit == nil {
		c.Exit = os.Exit
	}
	switch {
	case c.Timeout < 0:
		return c, fmt.Errorf("shutdown: Timeout is %v, but must not be negative", c.Timeout)
	case c.Reserve < 0 || c.Reserve >= c.Timeout:
		return c, fmt.Errorf("shutdown: Reserve is %v, but must be between 0 and Timeout, %v", c.Reserve, c.Timeout)
	case c.DrainDelay < 0 || c.DrainDelay >= c.Timeout-c.Reserve:
		return c, fmt.Errorf("shutdown: DrainDelay is %v, but must be between 0 and Timeout less Reserve, %v", c.DrainDelay, c.Timeout-c.Reserve)
	case c.ReadinessDelay < 0 || c.ReadinessDelay > c.Timeout:
		return c, fmt.Errorf("shutdown: ReadinessDelay is %v, but must be between 0 and Timeout, %v", c.ReadinessDelay, c.Timeout)
	}
	return c, nil
}

// App starts and stops a service. Make it with [New]; it runs once. Its methods may be called from any goroutine.
type App struct {
	config    Config
	log       *slog.Logger
	tracker   tracker
	stopping  chan struct{} // closed with the first call of stop
	hurried   chan struct{} // closed at the second signal
	observers []*Hooks      // not changed once Run has been called

	mu         sync.Mutex // guards the following; never held while anything is waited for
	components []Component
	called     bool         // Run has been
	order      []*component // in which they stop; set by Run
	up         bool         // every Start has returned nil
	runs, left int          // how many Runs have been called, and how many of them have not returned
	hooks      []*hook
	phases     []PhaseInfo // of the stop, those that have begun
	forced     os.Signal   // the third signal
	ended      time.Time   // when the last phase was over

	// Why and when the app was asked to stop: set once, in this order, before stopping is closed.
	reason    string
	cause     error
	culprit   string // the hook that failed with the cause, as hookName has it; empty if Shutdown was given that
	stoppedAt time.Time
}

// New returns an App, or an error that names the field of c that is out of bounds. It starts nothing.
func New(c Config) (*App, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &App{config: c, log: c.Logger, stopping: make(chan struct{}), hurried: make(chan struct{})}
	a.Observe(c.Hooks)
	return a, nil
}

// Add adds components; their order does not matter. What is wrong with them is said by Run. Add panics once Run has
// been called.
func (a *App) Add(c ...Component) {
	a.mustBeMade()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.called {
		panic("shutdown: Add called after Run")
	}
	a.components = append(a.components, c...)
}

// Run starts the components, waits, and stops them. What ends the wait is a signal, the end of ctx, [App.Shutdown], a
// Run that fails, or the return of the last Run if there was any. During the start the same leads to a stop of
// what has started by then, and so does a Start that fails.
//
// Run returns nil if it was asked to stop and everything went well, a [*Report] otherwise, and another error, having
// started nothing, if the components make no sense together. It returns within Config.Timeout of being asked to
// stop. Hooks that it has given up on are the only goroutines that it leaves behind. A second call panics.
//
// While Run runs, a write to a standard output or error that nobody reads any more fails with EPIPE, as to other pipes,
// where it would end the process: a reader of the log that ends must not take the requests in flight with it. An app that
// takes no signals leaves that as it is.
func (a *App) Run(ctx context.Context) error {
	a.mustBeMade()
	// What the hooks are given outlives ctx: its end asks for a stop, and must not cut short what it asks for.
	base := a.Context(context.WithoutCancel(ctx))
	a.mu.Lock()
	if a.called {
		a.mu.Unlock()
		panic("shutdown: Run called twice")
	}
	a.called = true
	a.mu.Unlock()

	p, err := newPlan(a.components)
	if err != nil {
		a.log.Error("shutdown: not started", slog.Any("error", err))
		return err
	}
	a.mu.Lock()
	a.order = p.order()
	a.mu.Unlock()
	signals, release := a.signals()
	defer release()
	over := make(chan struct{})
	go func() {
		defer close(over)
		a.startAll(base, p)
		<-a.stopping
		a.stopAll(base, p)
	}()

	done := ctx.Done()
	stopping := a.stopping
	var count signalCount
	for {
		select {
		case <-stopping:
			stopping = nil
			a.logStopping()
		case <-over:
			if stopping != nil {
				a.logStopping()
			}
			r := a.Report()
			a.log.Info("shutdown: stopped", slog.Duration("took", r.Took))
			return r.failure()
		case <-done:
			a.stop(context.Cause(ctx).Error(), nil, "")
			done = nil
		case sig := <-signals:
			switch count.next() {
			case 1:
				a.stop("signal "+sig.String(), nil, "")
			case 2:
				a.hurry(sig)
			case 3:
				return a.force(sig)
			}
		}
	}
}

// Shutdown asks the app to stop and returns at once; the first request counts. With a cause that is not nil, Run returns
// a [*Report] with it. Before Run it makes sure that nothing is started; called by a hook that stops, it does nothing.
func (a *App) Shutdown(cause error) {
	a.mustBeMade()
	a.stop("Shutdown was called", cause, "")
}

func (a *App) stop(reason string, cause error, culprit string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !isClosed(a.stopping) {
		a.reason, a.cause, a.culprit, a.stoppedAt = reason, cause, culprit, time.Now()
		close(a.stopping)
	}
}

func (a *App) logStopping() {
	told := []any{slog.String("reason", a.reason)}
	if a.cause != nil {
		told = append(told, slog.Any("cause", a.cause))
	}
	a.log.Info("shutdown: stopping", told...)
}

func (a *App) mustBeMade() {
	if a.stopping == nil {
		panic("shutdown: App not made by New")
	}
}
