package observe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/observe"
)

var errDown = errors.New("connection refused")

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

type record map[string]any

// records returns what was logged.
func (j *journal) records(t *testing.T) (all []record) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		var r record
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		all = append(all, r)
	}
	return all
}

// only returns the one record that there is to be.
func (j *journal) only(t *testing.T) record {
	t.Helper()
	all := j.records(t)
	require.Len(t, all, 1)
	return all[0]
}

// newObserver returns an Observer that logs to a journal.
func newObserver(t *testing.T, cfg observe.Config) (*observe.Observer, *journal) {
	t.Helper()
	j := new(journal)
	cfg.Logger = slog.New(slog.NewJSONHandler(j, nil))
	o, err := observe.New(cfg)
	require.NoError(t, err)
	return o, j
}

func fails(context.Context) error { return errDown }

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func explodes(context.Context) error { panic("boom") }
