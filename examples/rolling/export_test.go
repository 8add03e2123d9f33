package main

import "context"

const EventsVariable = eventsVariable

var (
	Main        = main
	Run         = run
	ServeEvents = serveEvents
)

// Roll sends requests and reports how many were sent, how often replicas were restarted, and what was lost, as text.
func Roll(ctx context.Context, requests int64, clients, streams int) (sent int64, restarts int, lost string, err error) {
	l := &load{requests: requests}
	err = l.roll(ctx, clients, streams)
	if l.failures() > 0 {
		lost = l.String()
	}
	return l.sent.Load(), l.restarts, lost, err
}
