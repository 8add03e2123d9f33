// Package kit is what the example servers have in common: how flags and exit codes work, how a handler's errors and
// panics become answers, and the listener for those who run the server.
//
// It is an example itself, of the small layer that a team puts between Grove and its own services.
package kit
