package store

import (
	"strings"
	"unicode/utf8"
)

// Query asks for characters. Queries that ask for the same are equal, so a Query can be the key of a cache.
type Query struct {
	// Text is either a single character, which may be white space, or upper-case words with one space between them.
	Text string
	// Limit is how many characters the answer may have at most.
	Limit int
}

// NewQuery makes the Query of a text as a person typed it. A text of a single character asks for that character as
// well as for the names it occurs in.
func NewQuery(text string, limit int) Query {
	if utf8.RuneCountInString(text) > 1 {
		text = strings.Join(strings.Fields(text), " ")
	}
	if utf8.RuneCountInString(text) > 1 {
		text = upper(text)
	}
	return Query{Text: text, Limit: limit}
}

// words returns what has to occur in a name. None means that no name can match.
func (q Query) words() []string {
	for i := range len(q.Text) {
		if q.Text[i] >= utf8.RuneSelf {
			return nil
		}
	}
	return strings.Fields(upper(q.Text))
}

// char returns the character that the query consists of, if it is a single one.
func (q Query) char() (r rune, ok bool) {
	r, size := utf8.DecodeRuneInString(q.Text)
	return r, size > 0 && size == len(q.Text)
}

// upper maps a to z as names are written and leaves everything else as it is: strings.ToUpper would turn letters
// that are in no name, such as the long s, into letters that are.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, s)
}

// likeEscaper makes a word stand for itself in the pattern of a LIKE whose escape character is the backslash.
var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// contains returns the LIKE pattern of the names that contain word.
func contains(word string) string { return "%" + likeEscaper.Replace(word) + "%" }
