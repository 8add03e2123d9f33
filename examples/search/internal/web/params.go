package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/grove-go/grove/examples/internal/kit"
	"github.com/grove-go/grove/examples/search/internal/store"
)

// What a request may ask for.
const (
	maxChars     = 100
	maxWords     = 8
	defaultLimit = 20
	maxLimit     = 100
)

// allowed tells for each parameter what it may be.
var allowed = map[string]string{
	"q": fmt.Sprintf("text of 1 to %d characters in at most %d words: valid UTF-8 without control characters other than white space",
		maxChars, maxWords),
	"limit": fmt.Sprintf("a whole number from 1 to %d", maxLimit),
}

// parse reads the parameters of a search. Its error is a *kit.Problem that names the parameter at fault.
func parse(rawQuery string) (store.Query, error) {
	// url.URL.Query would leave out what it cannot read, and so answer another question than the one asked.
	params, err := url.ParseQuery(rawQuery)
	if err != nil {
		return store.Query{}, bad("query", "The query string cannot be read: "+err.Error()+".",
			"parameters as in q=snow&limit=20, with other characters percent-encoded")
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if _, known := allowed[name]; !known {
			return store.Query{}, bad(name, fmt.Sprintf("There is no parameter %+q.", name), "q and limit")
		}
		if len(params[name]) > 1 {
			return store.Query{}, bad(name, name+" is given more than once.", allowed[name])
		}
	}
	text := params.Get("q")
	if wrong := wrongText(text); wrong != "" {
		return store.Query{}, bad("q", "q "+wrong+".", allowed["q"])
	}
	limit := defaultLimit
	if params.Has("limit") {
		limit, err = strconv.Atoi(params.Get("limit"))
		if err != nil || limit < 1 || limit > maxLimit {
			return store.Query{}, bad("limit", "limit is not "+allowed["limit"]+".", allowed["limit"])
		}
	}
	return store.NewQuery(text, limit), nil
}

// wrongText says what is wrong with the text of a query, as the rest of a sentence about it; empty if nothing is.
func wrongText(text string) string {
	switch words, chars := strings.Fields(text), utf8.RuneCountInString(text); {
	case !utf8.ValidString(text):
		return "is not valid UTF-8"
	case chars == 0:
		return "is empty"
	case chars > 1 && len(words) == 0:
		return "is only white space" // a single character asks for itself
	case chars > maxChars:
		return fmt.Sprintf("has %d characters", chars)
	case len(words) > maxWords:
		return fmt.Sprintf("has %d words", len(words))
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }):
		return "has a control character"
	}
	return ""
}

func bad(field, detail, allowed string) error {
	return &kit.Problem{Status: http.StatusBadRequest, Detail: detail, Field: field, Allowed: allowed}
}
