package kit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/examples/internal/kit"
	"github.com/grove-go/grove/executor"
)

type handler = func(w http.ResponseWriter, r *http.Request) error

// serve calls h as a Handler and returns the answer and what was logged.
func serve(h handler, r *http.Request) (*httptest.ResponseRecorder, string) {
	var log bytes.Buffer
	w := httptest.NewRecorder()
	kit.Handler(slog.New(slog.NewTextHandler(&log, nil)), h).ServeHTTP(w, r)
	return w, log.String()
}

func request(t *testing.T) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/search?q=x", nil)
}

// problem reads a problem, and checks that it is one.
func problem(t *testing.T, resp *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	require.Equal(t, "application/problem+json", resp.Header().Get("Content-Type"))
	require.Equal(t, "no-store", resp.Header().Get("Cache-Control"))
	var p map[string]any
	require.NoError(t, json.Unmarshal(resp.Body.Bytes(), &p))
	require.InDelta(t, resp.Code, p["status"], 0)
	require.Equal(t, http.StatusText(resp.Code), p["title"])
	return p
}

func fails(err error) handler {
	return func(http.ResponseWriter, *http.Request) error { return err }
}

func TestHandlerLeavesAnAnswerAlone(t *testing.T) {
	resp, log := serve(func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, "fine")
		return err
	}, request(t))
	require.Equal(t, "fine", resp.Body.String())
	require.Empty(t, log)
}

func TestHandlerWritesAProblemAsItIs(t *testing.T) {
	resp, log := serve(fails(fmt.Errorf("parse: %w", &kit.Problem{
		Status: http.StatusBadRequest, Detail: "It is empty.", Field: "q", Allowed: "text",
	})), request(t))
	require.Equal(t, http.StatusBadRequest, resp.Code)
	p := problem(t, resp)
	require.Equal(t, "It is empty.", p["detail"])
	require.Equal(t, "q", p["field"])
	require.Equal(t, "text", p["allowed"])
	require.NotContains(t, p, "budget")
	require.Empty(t, log)
}

func TestHandlerNamesTheBudgetThatRanOut(t *testing.T) {
	for limit, want := range map[time.Duration]string{
		300 * time.Millisecond: `The budget "search" of 300ms ran out.`,
		289_981_545:            `The budget "search" of 290ms ran out.`,
		-9 * time.Millisecond:  `The budget "search" of 0s ran out.`, // its client waits for less than it takes to answer
	} {
		resp, log := serve(fails(fmt.Errorf("query: %w", &deadline.Error{Name: "search", Limit: limit})), request(t))
		require.Equal(t, http.StatusGatewayTimeout, resp.Code)
		p := problem(t, resp)
		require.Equal(t, "search", p["budget"])
		require.Equal(t, want, p["detail"])
		require.Empty(t, log)
	}
}

func TestHandlerAsksForALaterTryWhenThereIsTooMuchToDo(t *testing.T) {
	resp, log := serve(fails(fmt.Errorf("query: %w", executor.ErrQueueFull)), request(t))
	require.Equal(t, http.StatusServiceUnavailable, resp.Code)
	require.Equal(t, "1", resp.Header().Get("Retry-After"))
	problem(t, resp)
	require.Empty(t, log)
}

func TestHandlerLogsOtherFailuresAndKeepsThemFromTheClient(t *testing.T) {
	resp, log := serve(fails(errors.New("relation missing")), request(t))
	require.Equal(t, http.StatusServiceUnavailable, resp.Code)
	require.NotContains(t, problem(t, resp)["detail"], "relation")
	require.Contains(t, log, "relation missing")
}

func TestHandlerDoesNotLogThatAClientHasLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	resp, log := serve(func(_ http.ResponseWriter, r *http.Request) error { return r.Context().Err() }, request(t).WithContext(ctx))
	require.Equal(t, http.StatusServiceUnavailable, resp.Code)
	require.Empty(t, log)
}

func explode() { panic("boom") }

func TestHandlerPanicsWithThePanicOfACall(t *testing.T) {
	pool, err := executor.New(executor.Config{Name: "pool", Workers: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	defer func() {
		p, ok := recover().(*executor.PanicError)
		require.True(t, ok)
		require.Equal(t, "boom", p.Value)
		require.Contains(t, string(p.Stack), "kit_test.explode")
	}()
	serve(func(_ http.ResponseWriter, r *http.Request) error {
		_, err := executor.Do(r.Context(), pool, func(context.Context) (int, error) { explode(); return 0, nil })
		return fmt.Errorf("query: %w", err)
	}, request(t))
}
