package web

// Client is on whose behalf a request is made.
var Client = client
