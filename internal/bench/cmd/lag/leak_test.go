package main

import (
	"testing"

	"go.uber.org/goleak"
)

// Importing ants starts goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
