package taskgroup_test

import (
	"bytes"
	"context"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// labels are those that the goroutine profile shows for the goroutine that calls it.
func labels() string {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	for record := range strings.SplitSeq(profile.String(), "\n\n") {
		if !strings.Contains(record, "taskgroup_test.labels+") {
			continue
		}
		for line := range strings.Lines(record) {
			if found, ok := strings.CutPrefix(line, "# labels: "); ok {
				return strings.TrimSpace(found)
			}
		}
	}
	return ""
}

func TestLabelsAroundRunAreThoseOfItsTasks(t *testing.T) {
	var got [3]string
	pprof.Do(t.Context(), pprof.Labels("who", "all"), func(ctx context.Context) {
		require.NoError(t, taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
			g.Go(func(ctx context.Context) error {
				pprof.Do(ctx, pprof.Labels("who", "one"), func(context.Context) { got[0] = labels() })
				got[1] = labels()
				return nil
			})
			g.Go(func(context.Context) error {
				got[2] = labels()
				return nil
			})
			return nil
		}, taskgroup.Limit(1)))
	})
	require.Equal(t, [...]string{`{"who":"one"}`, `{"who":"all"}`, `{"who":"all"}`}, got)
}
