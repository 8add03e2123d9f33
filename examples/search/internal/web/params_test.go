package web_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBadInputIsAProblemThatNamesTheFieldAndWhatIsAllowed(t *testing.T) {
	s := newSite(findsSnowman(), nil)
	long := strings.Repeat("é", 101)
	for query, want := range map[string]struct{ field, detail, allowed string }{
		"":                        {"q", "empty", "1 to 100 characters"},
		"q=":                      {"q", "empty", "1 to 100 characters"},
		"q=+%09":                  {"q", "only white space", "1 to 100 characters"},
		"q=" + long:               {"q", "101 characters", "1 to 100 characters"},
		"q=a+b+c+d+e+f+g+h+i":     {"q", "9 words", "at most 8 words"},
		"q=%ff":                   {"q", "not valid UTF-8", "valid UTF-8"},
		"q=snow%00man":            {"q", "control character", "without control characters other than white space"},
		"q=%C2%85x%1b":            {"q", "control character", "without control characters"},
		"q=a&q=b":                 {"q", "more than once", "1 to 100 characters"},
		"q=a&limit=0":             {"limit", "whole number", "from 1 to 100"},
		"q=a&limit=101":           {"limit", "whole number", "from 1 to 100"},
		"q=a&limit=-1":            {"limit", "whole number", "from 1 to 100"},
		"q=a&limit=":              {"limit", "whole number", "from 1 to 100"},
		"q=a&limit=1e1":           {"limit", "whole number", "from 1 to 100"},
		"q=a&limit=9999999999999": {"limit", "whole number", "from 1 to 100"},
		"q=a&offset=1":            {"offset", "no parameter", "q and limit"},
		"q=a&%ff=1":               {"\ufffd", "no parameter", "q and limit"},
		"q=%zz":                   {"query", "cannot be read", "percent-encoded"},
		"q=a;limit=1":             {"query", "cannot be read", "percent-encoded"},
	} {
		resp, body := s.get(t, "/search?"+query)
		require.Equal(t, http.StatusBadRequest, resp.Code, query)
		require.Equal(t, "application/problem+json", resp.Header().Get("Content-Type"))
		var problem struct{ Field, Detail, Allowed string }
		require.NoError(t, json.Unmarshal([]byte(body), &problem))
		require.Equal(t, want.field, problem.Field, query)
		require.Contains(t, problem.Detail, want.detail, query)
		require.Contains(t, problem.Allowed, want.allowed, query)
	}
}

func TestTheLongestTextAndTheHighestLimitAreAllowed(t *testing.T) {
	s := newSite(findsSnowman(), nil)
	for _, query := range []string{
		"q=" + url.QueryEscape(strings.Repeat("é", 100)),
		"q=a+b+c+d+e+f+g+h",
		"q=a&limit=1",
		"q=a&limit=100",
		"q=a%09b%0A",
	} {
		resp, _ := s.get(t, "/search?"+query)
		require.Equal(t, http.StatusOK, resp.Code, query)
	}
}

func FuzzSearchAnswersEveryQueryString(f *testing.F) {
	for _, seed := range []string{"q=snow", "q=%ff&limit=7", "limit=1&q=a&q=b", "q=a;b", "%zz", "q=%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/search", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		newSite(findsSnowman(), nil).ServeHTTP(w, r)
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, w.Code)
		require.True(t, json.Valid(w.Body.Bytes()))
	})
}
