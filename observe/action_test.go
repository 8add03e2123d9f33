package observe_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/trace"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/observe"
	"github.com/grove-go/grove/taskgroup"
)

func cancelForm(id uint64) url.Values {
	return url.Values{"action": {"cancel"}, "id": {strconv.FormatUint(id, 10)}}
}

func TestAGroupIsCanceledFromThePage(t *testing.T) {
	o, _ := newObserver(t, observe.Config{Actions: true})
	s := newSite(t, o)
	g := taskgroup.New(o.Context(t.Context()))
	hold := make(chan struct{})
	g.Go(func(context.Context) error { <-hold; return nil })
	id := s.state().Groups.Trees[0].ID

	status, _, _ := s.ask(http.MethodPost, cancelForm(id+1))
	require.Equal(t, http.StatusNotFound, status)
	require.NoError(t, g.Context().Err())
	status, body, _ := s.ask(http.MethodPost, cancelForm(id))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, fmt.Sprintf("The group %d was canceled.\n", id), body)
	<-g.Context().Done()
	st := s.waitFor(func(st state) bool { return st.Groups.Trees[0].Canceled != nil })
	require.Contains(t, st.Groups.Trees[0].Cause, "canceled from the live page")
	close(hold)
	require.ErrorContains(t, g.Wait(), "canceled from the live page")
	require.Zero(t, s.waitFor(func(st state) bool { return st.Groups.Live == 0 }).Groups.Shown)
}

func TestABrowserWithoutScriptsSeesThePageAgain(t *testing.T) {
	o, _ := newObserver(t, observe.Config{Actions: true})
	s := newSite(t, o)
	g := taskgroup.New(o.Context(t.Context()))
	g.Go(untilDone)
	status, _, header := s.ask(http.MethodPost, cancelForm(s.state().Groups.Trees[0].ID), "Accept", "text/html")
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, "/", header.Get("Location"))
	require.Error(t, g.Wait())
}

func TestActionsAreRefusedUnlessAllowedAndFromThePageItself(t *testing.T) {
	off, _ := newObserver(t, observe.Config{})
	status, body, _ := newSite(t, off).ask(http.MethodPost, cancelForm(1))
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, "observe.Config.Actions")

	o, _ := newObserver(t, observe.Config{Actions: true})
	s := newSite(t, o)
	g := taskgroup.New(o.Context(t.Context()))
	id := s.state().Groups.Trees[0].ID
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"},
	} {
		status, _, _ = s.ask(http.MethodPost, cancelForm(id), headers...)
		require.Equal(t, http.StatusForbidden, status, headers)
	}
	require.NoError(t, g.Context().Err())
	for _, action := range []string{"", "reboot"} {
		status, _, _ = s.ask(http.MethodPost, url.Values{"action": {action}})
		require.Equal(t, http.StatusBadRequest, status)
	}
	status, _, _ = s.ask(http.MethodPost, url.Values{"action": {"cancel"}, "id": {"x"}})
	require.Equal(t, http.StatusBadRequest, status)
	require.NoError(t, g.Wait())
}

func TestProfilesAreDownloads(t *testing.T) {
	o, _ := newObserver(t, observe.Config{Actions: true})
	s := newSite(t, o)
	for _, action := range []string{"heap", "goroutine"} {
		status, body, header := s.ask(http.MethodPost, url.Values{"action": {action}})
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "\x1f\x8b", body[:2], "compressed, as go tool pprof wants it")
		require.Equal(t, `attachment; filename="`+action+`.pprof"`, header.Get("Content-Disposition"))
	}
	status, body, _ := s.ask(http.MethodPost, url.Values{"action": {"flight"}})
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, body, "observe.Config.Recorder")
}

func TestTheFlightRecordingIsADownload(t *testing.T) {
	recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
	require.NoError(t, recorder.Start())
	defer recorder.Stop()
	o, _ := newObserver(t, observe.Config{Actions: true, Recorder: recorder})
	s := newSite(t, o)
	require.Contains(t, s.get("text/html"), "Flight recording")
	status, body, header := s.ask(http.MethodPost, url.Values{"action": {"flight"}})
	require.Equal(t, http.StatusOK, status)
	require.True(t, strings.HasPrefix(body, "go 1."), "as go tool trace wants it")
	require.Equal(t, `attachment; filename="flight.trace"`, header.Get("Content-Disposition"))
}

func TestAProfileThatNobodyWaitsForEnds(t *testing.T) {
	o, _ := newObserver(t, observe.Config{Actions: true})
	for range 2 { // the second could not begin if the first still ran
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/", strings.NewReader("action=cpu"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		o.Handler().ServeHTTP(w, r)
		require.Equal(t, http.StatusConflict, w.Code)
		require.Contains(t, w.Body.String(), "context canceled")
	}
}
