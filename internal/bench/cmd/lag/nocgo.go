//go:build unix && !cgo

package main

import "time"

// cgoSleep ends the process, since it cannot block in C.
func cgoSleep(time.Duration) { panic("built without cgo: choose other storms with -storm") }
