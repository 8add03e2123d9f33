package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunSaysWhichFlagIsWrong(t *testing.T) {
	for flag, want := range map[string]string{
		"-laws=none,guess": `-laws: "guess" is none of aimd, codel`,
		"-loads=80,x":      `-loads: "x" is no percentage`,
		"-loads=0":         `-loads: "0" is no percentage`,
	} {
		require.ErrorContains(t, run(t.Context(), []string{flag}, io.Discard, io.Discard), want)
	}
}
