package web

import (
	"fmt"
	"strings"
	"time"
)

// timing is the path of a request as its Server-Timing header tells it.
type timing struct{ steps []string }

// add notes that name was asked at the time began, and what came of it.
func (t *timing) add(name string, began time.Time, outcome string) {
	ms := float64(time.Since(began)) / float64(time.Millisecond)
	t.steps = append(t.steps, fmt.Sprintf("%s;desc=%s;dur=%.3f", name, outcome, ms))
}

// String returns the steps in the order in which they were taken.
func (t *timing) String() string { return strings.Join(t.steps, ", ") }

// outcome is the word for a look-up that failed with err or else had the answer or not.
func outcome(hit bool, err error) string {
	switch {
	case err != nil:
		return "failed"
	case hit:
		return "hit"
	}
	return "miss"
}
