package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheBuildThatCannotBeObservedBuilds(t *testing.T) {
	t.Chdir("../../../..")
	file, err := overlay(t.TempDir())
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", file, "./taskgroup", "./executor").CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestAStepThatThereIsNotIsRefused(t *testing.T) {
	require.ErrorContains(t, run([]string{"hook"}, nil), `"hook"`)
}

func TestMedian(t *testing.T) {
	require.InDelta(t, 2, median([]float64{9, 1, 2}), 0)
	require.InDelta(t, 3, median([]float64{4, 9, 1, 2}), 0)
}
