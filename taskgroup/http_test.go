package taskgroup_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/taskgroup"
)

// An HTTP client returns the cause of its context: the sibling's failure must not come back as a second one.
func TestRequestOfASiblingIsCancelledAndDoesNotFailWithTheCause(t *testing.T) {
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	defer server.Close()
	client := server.Client()

	var answer error
	err := taskgroup.Run(t.Context(), func(_ context.Context, g *taskgroup.Group) error {
		g.Go(func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				return err
			}
			res, err := client.Do(req)
			if err != nil {
				answer = err
				return err
			}
			return res.Body.Close()
		})
		g.Go(func(context.Context) error {
			<-arrived
			return errA
		})
		return nil
	})
	var asHTTP *url.Error
	require.ErrorAs(t, answer, &asHTTP)
	require.ErrorIs(t, answer, context.Canceled)
	require.ErrorIs(t, answer, errA)
	e := failed(t, err)
	require.Equal(t, []error{errA}, errorsOf(e), "it is an echo")
	require.Equal(t, 1, e.Canceled)
}

func TestRequestFailsWithTheCauseOfTheParentAndIsAnEcho(t *testing.T) {
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	defer server.Close()
	client := server.Client()

	ctx, cancel := context.WithCancelCause(t.Context())
	err := taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
		g.Go(func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				return err
			}
			res, err := client.Do(req)
			if err != nil {
				return err
			}
			return res.Body.Close()
		})
		<-arrived
		cancel(errB)
		return nil
	})
	e := failed(t, err)
	require.Equal(t, errB, e.Cause)
	require.Equal(t, 1, e.Canceled)
	require.Empty(t, e.Tasks)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAbortOfAHandlerPassesAsItself(t *testing.T) {
	var complaints atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = taskgroup.Run(r.Context(), func(_ context.Context, g *taskgroup.Group) error {
			g.Go(func(ctx context.Context) error {
				return taskgroup.Run(ctx, func(_ context.Context, g *taskgroup.Group) error {
					g.Go(panics(0, http.ErrAbortHandler))
					return nil
				})
			})
			return nil
		})
	}))
	server.Config.ErrorLog = log.New(writer(func([]byte) { complaints.Add(1) }), "", 0)
	server.Start()
	defer server.Close()

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	require.NoError(t, err)
	res, err := server.Client().Do(req)
	if err == nil {
		require.NoError(t, res.Body.Close())
	}
	require.ErrorIs(t, err, io.EOF, "the connection is cut")
	server.Close()
	require.Zero(t, complaints.Load(), "the server has nothing to say: it knows ErrAbortHandler with ==")
}

func TestPanicOfATaskIsWhatAServerRecovers(t *testing.T) {
	var complaint strings.Builder
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = taskgroup.Run(r.Context(), func(_ context.Context, g *taskgroup.Group) error {
			g.Go(panics(0, "boom"))
			return nil
		})
	}))
	server.Config.ErrorLog = log.New(&complaint, "", 0)
	server.Start()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	require.NoError(t, err)
	res, err := server.Client().Do(req)
	if err == nil {
		require.NoError(t, res.Body.Close())
	}
	require.ErrorIs(t, err, io.EOF)
	server.Close()
	require.Contains(t, complaint.String(), "panic in taskgroup_test.panics.func1: boom")
	require.Contains(t, complaint.String(), "taskgroup_test.culprit(")
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}
