package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/search/internal/ucd"
	"github.com/grove-go/grove/examples/search/internal/web"
	"github.com/grove-go/grove/executor"
	"github.com/grove-go/grove/observe"
)

// database answers every query by name with what find returns, and has no single characters but those of findRune.
type database struct {
	calls    int
	find     func(ctx context.Context, words []string, limit int) ([]ucd.Char, error)
	findRune func(r rune) []ucd.Char
}

func (d *database) ByName(ctx context.Context, words []string, limit int) ([]ucd.Char, error) {
	d.calls++
	return d.find(ctx, words, limit)
}

func (d *database) ByRune(_ context.Context, r rune) ([]ucd.Char, error) {
	if d.findRune == nil {
		return nil, nil
	}
	return d.findRune(r), nil
}

// shared is a shared cache in a map, or a broken one.
type shared struct {
	entries map[string][]byte
	err     error
}

func (s *shared) Get(_ context.Context, key string) ([]byte, error) { return s.entries[key], s.err }

func (s *shared) SetLater(key string, value []byte) { s.entries[key] = value }

var snowman = ucd.Char{Rune: '☃', Name: "SNOWMAN"}

// snowmanAnswer is what findsSnowman is answered with.
const snowmanAnswer = `{"results":[{"code":"U+2603","char":"☃","name":"SNOWMAN","utf8":"E2 98 83","html":"&#x2603;","category":"Other Symbol"}]}` + "\n"

// findsSnowman is a database that has one character.
func findsSnowman() *database {
	return &database{find: func(context.Context, []string, int) ([]ucd.Char, error) { return []ucd.Char{snowman}, nil }}
}

// site is a handler whose log can be read.
type site struct {
	http.Handler
	log bytes.Buffer
}

func newSite(db *database, l2 web.Shared) *site {
	s := &site{}
	s.Handler = web.New(web.Config{
		Database: db, Shared: l2, Budget: 300 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	return s
}

func (s *site) request(t testing.TB, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, target, nil))
	return w
}

func (s *site) get(t testing.TB, target string) (resp *httptest.ResponseRecorder, body string) {
	t.Helper()
	resp = s.request(t, http.MethodGet, target)
	return resp, resp.Body.String()
}

// path is the Server-Timing of an answer without the durations.
func path(resp *httptest.ResponseRecorder) string {
	return regexp.MustCompile(`;dur=[0-9.]+`).ReplaceAllString(resp.Header().Get("Server-Timing"), "")
}

func TestSearchAnswersWithCharacters(t *testing.T) {
	db := findsSnowman()
	find := db.find
	db.find = func(ctx context.Context, words []string, limit int) ([]ucd.Char, error) {
		require.Equal(t, []string{"SNOW", "MAN"}, words)
		require.Equal(t, 7, limit)
		return find(ctx, words, limit)
	}
	resp, body := newSite(db, nil).get(t, "/search?q=snow+man&limit=7")
	require.Equal(t, http.StatusOK, resp.Code)
	require.Equal(t, "application/json", resp.Header().Get("Content-Type"))
	require.JSONEq(t, snowmanAnswer, body)
}

func TestSearchAnswersWithAnEmptyListWhenNothingIsFound(t *testing.T) {
	db := &database{find: func(context.Context, []string, int) ([]ucd.Char, error) { return nil, nil }}
	resp, body := newSite(db, nil).get(t, "/search?q=x")
	require.Equal(t, http.StatusOK, resp.Code)
	require.JSONEq(t, `{"results":[]}`, body)
}

func TestServerTimingTellsThePath(t *testing.T) {
	db, l2 := findsSnowman(), &shared{entries: map[string][]byte{}}
	s := newSite(db, l2)
	resp, body := s.get(t, "/search?q=snowman")
	require.Equal(t, "l1;desc=miss, l2;desc=miss, db;desc=hit", path(resp))
	require.JSONEq(t, snowmanAnswer, body)

	resp, body = s.get(t, "/search?q=++SnowMan&limit=20")
	require.Equal(t, "l1;desc=hit", path(resp))
	require.JSONEq(t, snowmanAnswer, body)

	replica := newSite(db, l2)
	resp, body = replica.get(t, "/search?q=SNOWMAN")
	require.Equal(t, "l1;desc=miss, l2;desc=hit", path(resp))
	require.JSONEq(t, snowmanAnswer, body)
	resp, _ = replica.get(t, "/search?q=snowman")
	require.Equal(t, "l1;desc=hit", path(resp))
	require.Equal(t, 1, db.calls)
}

func TestServerTimingHasMilliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := findsSnowman()
		find := db.find
		db.find = func(ctx context.Context, words []string, limit int) ([]ucd.Char, error) {
			time.Sleep(12345 * time.Microsecond)
			return find(ctx, words, limit)
		}
		resp, _ := newSite(db, nil).get(t, "/search?q=snowman")
		require.Equal(t, "l1;desc=miss;dur=0.000, db;desc=hit;dur=12.345", resp.Header().Get("Server-Timing"))
	})
}

func TestASingleCharacterOfWhiteSpaceAsksForItself(t *testing.T) {
	for _, space := range []rune{' ', 0xA0, 0x3000} {
		s := newSite(&database{findRune: func(r rune) []ucd.Char { return []ucd.Char{{Rune: r, Name: "SPACE"}} }}, nil)
		resp, body := s.get(t, "/search?q="+url.QueryEscape(string(space)))
		require.Equal(t, http.StatusOK, resp.Code, body)
		require.Contains(t, body, fmt.Sprintf(`"code":"U+%04X"`, space))
	}
}

func TestADifferentLimitIsADifferentAnswer(t *testing.T) {
	db := findsSnowman()
	s := newSite(db, &shared{entries: map[string][]byte{}})
	s.get(t, "/search?q=snowman&limit=1")
	resp, _ := s.get(t, "/search?q=snowman&limit=2")
	require.Equal(t, "l1;desc=miss, l2;desc=miss, db;desc=hit", path(resp))
	require.Equal(t, 2, db.calls)
}

func TestABrokenSharedCacheChangesNoAnswer(t *testing.T) {
	s := newSite(findsSnowman(), &shared{entries: map[string][]byte{}, err: errors.New("gone")})
	resp, body := s.get(t, "/search?q=snowman")
	require.Equal(t, http.StatusOK, resp.Code)
	require.JSONEq(t, snowmanAnswer, body)
	require.Equal(t, "l1;desc=miss, l2;desc=failed, db;desc=hit", path(resp))
}

func TestWhatIsNoAnswerInTheSharedCacheIsAMiss(t *testing.T) {
	l2 := &shared{entries: map[string][]byte{}}
	s := newSite(findsSnowman(), l2)
	s.get(t, "/search?q=snowman")
	require.Len(t, l2.entries, 1)
	for _, foreign := range []string{`{"results":[{`, `{"results":null}`, `{"error":"x"}`, `{}`, `[]`, `"x"`, "null", "1", ""} {
		for key := range l2.entries {
			l2.entries[key] = []byte(foreign)
		}
		replica := newSite(findsSnowman(), l2)
		resp, body := replica.get(t, "/search?q=snowman")
		require.JSONEq(t, snowmanAnswer, body)
		require.Equal(t, "l1;desc=miss, l2;desc=miss, db;desc=hit", path(resp))
		_, body = replica.get(t, "/search?q=snowman")
		require.JSONEq(t, snowmanAnswer, body)
	}
}

func TestSearchNamesTheBudgetThatRanOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &database{find: func(ctx context.Context, _ []string, _ int) ([]ucd.Char, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		s := newSite(db, nil)
		began := time.Now()
		resp := s.request(t, http.MethodGet, "/search?q=snowman")
		require.Equal(t, 290*time.Millisecond, time.Since(began), "the rest is for the answer")
		require.Equal(t, http.StatusGatewayTimeout, resp.Code)
		require.Equal(t, "application/problem+json", resp.Header().Get("Content-Type"))
		require.Equal(t, "l1;desc=miss;dur=0.000, db;desc=failed;dur=290.000", resp.Header().Get("Server-Timing"))
		var problem struct{ Budget, Detail string }
		require.NoError(t, json.Unmarshal(resp.Body.Bytes(), &problem))
		require.Equal(t, "search", problem.Budget)
		require.Contains(t, problem.Detail, "290ms")
	})
}

func TestSearchTakesNoLongerThanItsClientWaits(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"60":                    50 * time.Millisecond,
		"10000":                 290 * time.Millisecond, // it may wait for less than the server allows, not for more
		"next week, if you can": 290 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(&database{find: func(ctx context.Context, _ []string, _ int) ([]ucd.Char, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}}, nil)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/search?q=snowman", nil)
			r.Header.Set("Request-Timeout-Ms", header)
			w := httptest.NewRecorder()
			began := time.Now()
			s.ServeHTTP(w, r)
			require.Equal(t, want, time.Since(began))
			require.Equal(t, http.StatusGatewayTimeout, w.Code)
		})
	}
}

func TestALookUpEndsWhenTheClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		db := &database{find: func(ctx context.Context, _ []string, _ int) ([]ucd.Char, error) {
			<-ctx.Done()
			cause = ctx.Err()
			return nil, cause
		}}
		s := newSite(db, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		began := time.Now()
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/search?q=snowman", nil))
		require.Equal(t, 10*time.Millisecond, time.Since(began))
		require.ErrorIs(t, cause, context.Canceled)
		require.Empty(t, s.log.String())
	})
}

func TestAFailureOfTheDatabaseIsNotKept(t *testing.T) {
	db, l2 := findsSnowman(), &shared{entries: map[string][]byte{}}
	find := db.find
	db.find = func(context.Context, []string, int) ([]ucd.Char, error) { return nil, errors.New("no such table") }
	s := newSite(db, l2)
	resp, body := s.get(t, "/search?q=snowman")
	require.Equal(t, http.StatusServiceUnavailable, resp.Code)
	require.NotContains(t, body, "table")
	require.Contains(t, s.log.String(), "no such table")
	require.Empty(t, l2.entries)

	db.find = find
	_, body = s.get(t, "/search?q=snowman")
	require.JSONEq(t, snowmanAnswer, body)
}

func TestAFullQueueIsToldApartFromAFailure(t *testing.T) {
	db := &database{find: func(context.Context, []string, int) ([]ucd.Char, error) { return nil, executor.ErrQueueFull }}
	s := newSite(db, nil)
	resp, _ := s.get(t, "/search?q=snowman")
	require.Equal(t, http.StatusServiceUnavailable, resp.Code)
	require.Equal(t, "1", resp.Header().Get("Retry-After"))
	require.Empty(t, s.log.String())
}

func TestAPanicIsLoggedAndBecomesAnInternalError(t *testing.T) {
	for target, db := range map[string]*database{
		"/search?q=snowman": {find: func(context.Context, []string, int) ([]ucd.Char, error) { panic("boom") }},
		"/search?q=☃":       {findRune: func(rune) []ucd.Char { panic("boom") }}, // in a task of the handler
	} {
		s := newSite(db, nil)
		o, err := observe.New(observe.Config{Logger: slog.New(slog.NewTextHandler(&s.log, nil))})
		require.NoError(t, err)
		s.Handler = o.Recover(s.Handler)
		resp, body := s.get(t, target)
		require.Equal(t, http.StatusInternalServerError, resp.Code, target)
		require.NotContains(t, body, "boom")
		require.Equal(t, 1, strings.Count(s.log.String(), "panic=boom"), "it is logged once")
		require.Contains(t, s.log.String(), "TestAPanicIsLoggedAndBecomesAnInternalError")
	}
}

func TestThePageIsServedWithAStrictPolicy(t *testing.T) {
	s := newSite(findsSnowman(), nil)
	for target, contentType := range map[string]string{
		"/":          "text/html; charset=utf-8",
		"/style.css": "text/css; charset=utf-8",
		"/script.js": "text/javascript; charset=utf-8",
	} {
		resp, body := s.get(t, target)
		require.Equal(t, http.StatusOK, resp.Code, target)
		require.Equal(t, contentType, resp.Header().Get("Content-Type"))
		require.Contains(t, resp.Header().Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'")
		require.NotContains(t, body, "https://", "the page must work without any other host")
	}
}

func TestOtherPathsAndMethodsAreRefused(t *testing.T) {
	s := newSite(findsSnowman(), nil)
	require.Equal(t, http.StatusNotFound, s.request(t, http.MethodGet, "/page/index.html").Code)
	resp := s.request(t, http.MethodPost, "/search?q=x")
	require.Equal(t, http.StatusMethodNotAllowed, resp.Code)
	require.Equal(t, "GET, HEAD", resp.Header().Get("Allow"))
}

func TestLookUpsAreMadeOnBehalfOfTheAddressThatARequestComesFrom(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.7:1234":           "192.0.2.7",
		"[::ffff:192.0.2.7]:1234":  "192.0.2.7",
		"[2001:db8:1:2:3::4]:1234": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1234":      "fe80::/64",
		"@":                        "@", // a unix socket has no address
	} {
		require.Equal(t, want, web.Client(&http.Request{RemoteAddr: from}))
	}
}

func TestThePoolIsShownIfThereIsOne(t *testing.T) {
	s := newSite(findsSnowman(), nil)
	require.Equal(t, http.StatusNotFound, s.request(t, http.MethodGet, "/pool").Code)
	s.Handler = web.New(web.Config{Database: findsSnowman(), Stats: func() executor.Stats {
		return executor.Stats{
			Workers: 2, Running: 1, Queued: 3, Queue: 32, OldestQueued: 4 * time.Millisecond,
			Refused: executor.Refusals{QueueFull: 5, Shed: 6, Closed: 7},
		}
	}})
	_, body := s.get(t, "/pool")
	require.JSONEq(t, `{"workers":2,"running":1,"abandoned":0,"queued":3,"queue":32,"oldestMs":4,"refused":11}`, body)
}
