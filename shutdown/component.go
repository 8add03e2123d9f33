package shutdown

import (
	"context"
	"fmt"
	"time"
)

// Phase is the part of a stop in which a component has its turn. The zero value is [Resources].
type Phase int

// The phases in stopping order. Each begins when everything in the one before has ended or was given up on.
const (
	// Announce tells the world that the process is about to leave, while it still accepts work: Config.DrainDelay is
	// part of it. Deregister from a service registry here.
	Announce Phase = iota - 4
	// Intake ends the acceptance of new work: listeners, consumers, pollers, schedules.
	Intake
	// InFlight waits for the work that somebody is waiting for: requests, and what was given to [App.Track].
	InFlight
	// Work ends what runs in the background: pools, task groups, writers with buffers.
	Work
	// Resources closes what all of that used: databases, caches, files.
	Resources
	// Telemetry goes last, so that logs, metrics and traces have recorded everything else.
	Telemetry
)

var phaseNames = [...]string{"Announce", "Intake", "InFlight", "Work", "Resources", "Telemetry"}

// String returns the name of the constant.
func (p Phase) String() string {
	if p < Announce || p > Telemetry {
		return fmt.Sprintf("Phase(%d)", int(p))
	}
	return phaseNames[p-Announce]
}

// Component is a part of a service that starts, runs and stops. Its hooks may be nil, and are called by App.Run, each
// on a goroutine of its own. They find the App in their context: [Stopping] works in all of them.
type Component struct {
	// Name tells components apart, in Needs and in reports. It must not be empty.
	Name string
	// Phase is when the component stops.
	Phase Phase
	// Needs names the components that this one uses: it starts after them and stops before them. Their phases must
	// not come before its own.
	Needs []string

	// Start returns when the component is ready for those that need it. Its context ends when the app is asked to
	// stop; what lives longer than the call belongs into Run.
	Start func(context.Context) error
	// Run is the component's long-lived part. It is called once Start has returned. Its context ends when Stop has
	// returned or has run out of time; without a Stop that end is how it is stopped. An error, or a panic, stops the
	// app. A nil says that the work is done; when no Run is left the app stops.
	Run func(context.Context) error
	// Stop ends the component in good order and returns when it has. Its context ends when its time is up. It is
	// called even if Run has returned already.
	Stop func(context.Context) error
	// Kill is the last resort when a hook of the component does not return: it must not wait, only pull the ground
	// away, as closing a connection does.
	Kill func() error

	// StartTimeout bounds Start; 0 means for as long as nobody asks for a stop.
	StartTimeout time.Duration
	// StopTimeout bounds Stop, or the end of Run where there is no Stop; 0 means whatever the budget has left.
	StopTimeout time.Duration

	// A component that acts in several phases has further hooks in the earlier ones. They are given the same
	// StopTimeout, and what they leave behind is the business of Stop and Kill, which have their turn in Phase.
	announce, intake func(context.Context) error
}
