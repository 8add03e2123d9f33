package main_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	drain "github.com/grove-go/grove/internal/bench/cmd/drain"
)

func TestTheTableHasALineForEveryoneAndEachKindOfClient(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, drain.Run(t.Context(), &out, 1))
	require.Regexp(t, `(?m)^\| 16 clients keep their connections \| grove \| 0 \| \d{3} \| \d.*s \| \d.*s \|$`, out.String())
	require.Regexp(t, `(?m)^\| 16 clients connect each time \| oklog/run \| \d+ \| \d{3} \| `, out.String())
	require.Equal(t, 17, bytes.Count(out.Bytes(), []byte("\n")))
}
