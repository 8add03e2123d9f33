package store_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/search/internal/store"
	"github.com/grove-go/grove/executor"
)

// tempDir makes the test's own directory that of temporary files, and returns it.
func tempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return dir
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	return list
}

func TestSQLiteReportsProgressAndCloseRemovesItsFile(t *testing.T) {
	dir := tempDir(t)
	db, err := store.NewSQLite(1)
	require.NoError(t, err)
	progress := recorder{t: t}
	require.NoError(t, db.Start(t.Context(), progress.report))
	progress.complete()
	require.Len(t, entries(t, dir), 1)
	require.NoError(t, db.Drain(t.Context()))
	require.NoError(t, db.Close())
	require.Empty(t, entries(t, dir))
}

func TestSQLiteStartLeavesNothingBehindWhenItsContextEnds(t *testing.T) {
	dir := tempDir(t)
	db, err := store.NewSQLite(1)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	err = db.Start(ctx, func(int, int) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, entries(t, dir))
	require.NoError(t, db.Drain(t.Context()))
}

func TestSQLiteStartTellsThatThereIsNoRoomForItsFile(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	db, err := store.NewSQLite(1)
	require.NoError(t, err)
	require.ErrorIs(t, db.Start(t.Context(), nil), os.ErrNotExist)
	require.NoError(t, db.Drain(t.Context()))
}

func TestSQLiteHasNoMoreConnectionsThanWorkers(t *testing.T) {
	db := startSQLite(t)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			if _, err := db.ByName(t.Context(), []string{"SNOW"}, 20); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	require.Equal(t, 2, db.Pool().Stats().Workers)
	require.LessOrEqual(t, db.Connections(), 2)
}

func TestSQLiteAnswersAgainAfterAQueryThatWasInterrupted(t *testing.T) {
	db := startSQLite(t)
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, err := db.ByName(ctx, []string{"QZ"}, 20) // which looks at every name
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		matches(t, db, []string{"SNOW"}, 20)
	}
}

func TestSQLiteRefusesLookUpsOnceDrained(t *testing.T) {
	db, err := store.NewSQLite(1)
	require.NoError(t, err)
	require.NoError(t, db.Drain(t.Context()))
	_, err = db.ByName(t.Context(), []string{"SNOW"}, 20)
	require.ErrorIs(t, err, executor.ErrClosed)
}

func FuzzSQLiteByNameFollowsTheRule(f *testing.F) {
	for _, seed := range []string{"SNOW", `" OR "`, "A%B_C", "NEAR(X Y)", "\\", "'; --"} {
		f.Add(seed, 5)
	}
	db := startSQLite(f)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = 1 + (limit&0xFF)%100
		text = strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7F {
				return -1
			}
			return r
		}, text)
		words := strings.Fields(strings.ToUpper(text))
		if len(words) == 0 || len(words) > 8 {
			return
		}
		got, err := db.ByName(t.Context(), words, limit)
		require.NoError(t, err)
		require.True(t, slices.Equal(model(words, limit), got), "%q", words)
	})
}

func TestAClientWithManyLookUpsDoesNotKeepAnotherOut(t *testing.T) {
	db := startSQLite(t)
	busy, other := store.WithClient(t.Context(), "busy"), store.WithClient(t.Context(), "other")
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 200 { // the queue has room for 32
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = db.ByName(busy, []string{"E"}, 100) // or refused
				}
			}
		})
	}
	for db.Pool().Stats().Queued < 32 {
		runtime.Gosched()
	}
	for range 20 {
		_, err := db.ByName(other, []string{"SNOWMAN"}, 20)
		require.NoError(t, err)
	}
	close(stop)
	callers.Wait()
}
