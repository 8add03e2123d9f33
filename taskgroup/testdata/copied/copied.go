// Package copied does what vet is to find.
package copied

import "github.com/grove-go/grove/taskgroup"

// Pass takes a group by value, and assigns it.
func Pass(g taskgroup.Group) {
	_ = g.Wait()
	h := g
	_ = h.Stop()
}
