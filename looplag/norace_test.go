//go:build !race

package looplag_test

const raceEnabled = false
