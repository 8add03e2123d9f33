// Package load sends HTTP requests in open loop: at the times of a schedule that is fixed before, whatever became of the
// requests before. Clients that wait for an answer before they ask again slow down together with an overloaded server
// and hide what its users feel; here a latency counts from the time that a request was due.
package load
