package observe

import (
	"fmt"
	"strings"
	"time"

	"github.com/grove-go/grove/shutdown"
)

type stopState struct {
	State      string      `json:"state"` // "running", "starting", or "stopping"
	Reason     string      `json:"reason,omitempty"`
	Took       seconds     `json:"took,omitempty"`
	Left       seconds     `json:"left,omitempty"` // of its budget
	Phases     []stopPhase `json:"phases"`
	Components []component `json:"components"`
	// Tracked is the work that the stop waits for besides, the oldest first, and MoreTracked how much more there is.
	Tracked     []trackedWork `json:"tracked"`
	MoreTracked int           `json:"more_tracked,omitempty"`
}

type stopPhase struct {
	Name    string  `json:"name"`
	Took    seconds `json:"took"`
	Left    seconds `json:"left"`
	Running bool    `json:"running"`
}

// trackedWork is work of one name.
type trackedWork struct {
	Name  string  `json:"name"`
	Count int     `json:"count"`
	Age   seconds `json:"age"` // of the oldest
}

type component struct {
	Name  string   `json:"name"`
	Phase string   `json:"phase"`
	Needs []string `json:"needs"`
	State string   `json:"state"`
	// Doing is what runs, for how long, and Error what has gone wrong.
	Doing string  `json:"doing,omitempty"`
	For   seconds `json:"for,omitempty"`
	Error string  `json:"error,omitempty"`
	Stack string  `json:"stack,omitempty"`
}

func describeStop(r *shutdown.Report, now time.Time) *stopState {
	s := &stopState{
		State: "running", Reason: clean(r.Reason, longestText), Took: seconds(r.Took),
		Phases: make([]stopPhase, 0, len(r.Phases)), Components: make([]component, 0, len(r.Components)), Tracked: []trackedWork{},
	}
	if r.Reason != "" {
		s.State = "stopping"
		s.Left = seconds(max(0, r.Deadline.Sub(now)))
	}
	for _, p := range r.Phases {
		s.Phases = append(s.Phases, stopPhase{
			Name: p.Phase.String(), Took: seconds(p.Took), Left: seconds(max(0, p.Deadline.Sub(now))), Running: p.Running,
		})
	}
	for _, c := range r.Components {
		if s.State == "running" && (c.State == "starting" || c.State == "waiting") {
			s.State = "starting"
		}
		d := component{Name: title(c.Name, ""), Phase: c.Phase.String(), Needs: append([]string{}, c.Needs...), State: c.State}
		for _, step := range r.Steps {
			if step.Component != c.Name {
				continue
			}
			switch {
			case step.Stuck:
				d.Error = step.Hook + " is stuck"
				d.Stack = string(step.Stack)
			case step.Err != nil:
				d.Error = step.Hook + ": " + brief(step.Err)
			case step.Running && step.Hook != "Run":
				d.Doing, d.For = step.Hook, seconds(step.Took)
			}
		}
		s.Components = append(s.Components, d)
	}
	s.track(r.Steps)
	return s
}

// track lists the tracked work that runs, that of a name together. Steps come in the order in which they began.
func (s *stopState) track(steps []shutdown.Step) {
	at := make(map[string]int)
	for _, step := range steps {
		if step.Hook != "Track" || !step.Running {
			continue
		}
		name := title(step.Component, "")
		if i, known := at[name]; known {
			s.Tracked[i].Count++
		} else if len(s.Tracked) < maxKinds {
			at[name] = len(s.Tracked)
			s.Tracked = append(s.Tracked, trackedWork{Name: name, Count: 1, Age: seconds(step.Took)})
		} else {
			s.MoreTracked++
		}
	}
}

// Summary is the state of the app in a line.
func (s *stopState) Summary() string {
	if s.Reason == "" {
		return s.State
	}
	return fmt.Sprintf("%s for %v, %v left: %s", s.State, s.Took, s.Left, s.Reason)
}

// Trouble is what the component is at, and what has gone wrong.
func (c component) Trouble() string {
	text := ""
	if c.Doing != "" {
		text = fmt.Sprintf("%s for %v", c.Doing, c.For)
	}
	return strings.Trim(text+"; "+c.Error, "; ")
}
