package rediscache

// OpenFor is how long Redis is left alone.
var OpenFor = &openFor
