//go:build unix && cgo

package main

// #include <unistd.h>
import "C"

import "time"

func cgoSleep(d time.Duration) { C.usleep(C.useconds_t(d / time.Microsecond)) }
