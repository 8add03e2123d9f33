package main

type Config = config

var (
	Run         = run
	Configure   = configure
	Serve       = serve
	NewProgress = newProgress
	Bar         = bar
)
