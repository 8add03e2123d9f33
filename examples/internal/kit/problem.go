package kit

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// Problem is an error as an HTTP API tells it, in the format of RFC 9457. A handler returns it as an error.
type Problem struct {
	// Status is the HTTP status; the title is its text.
	Status int
	// Detail is a sentence about this one request.
	Detail string
	// Field names the parameter at fault, and Allowed tells what it may be; empty when the request is not at fault.
	Field, Allowed string
	// Budget names the time budget that ran out, if that is the problem.
	Budget string
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// Write sends the problem as the answer. An overloaded or unavailable server asks to be left alone for a second.
func (p *Problem) Write(w http.ResponseWriter) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false) // it is JSON by its type, and q=snow&limit=20 is meant to be read
	err := e.Encode(struct {
		Title   string `json:"title"`
		Status  int    `json:"status"`
		Detail  string `json:"detail"`
		Field   string `json:"field,omitempty"`
		Allowed string `json:"allowed,omitempty"`
		Budget  string `json:"budget,omitempty"`
	}{http.StatusText(p.Status), p.Status, p.Detail, p.Field, p.Allowed, p.Budget})
	if err != nil {
		panic(err) // strings and an int always have an encoding
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	w.Write(body.Bytes())
}
