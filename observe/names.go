package observe

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestName is how many bytes of a name are shown and recorded, and longestText how many of an error.
const longestName, longestText = 120, 300

// title is the shortest name for a group or a task: its own, or its function with the package that it is in.
func title(name, function string) string {
	if name != "" {
		return clean(name, longestName)
	}
	return path.Base(function)
}

// clean returns text as one line of at most so many bytes and an ellipsis: names and errors have what users have sent, and
// are to move no cursor, break no label of a metric, and fill no page.
func clean(text string, most int) string {
	if len(text) <= most && isPlain(text) {
		return text
	}
	if len(text) > most {
		for most > 0 && !utf8.RuneStart(text[most]) {
			most--
		}
		text = text[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return utf8.RuneError
	}, text)
}

// isPlain reports whether text is of printable ASCII, as nearly all is.
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// brief is the first line of an error, and not too much of it. An error that panics when it is asked is said to.
func brief(err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(fmt.Sprint(err)), "\n")
	return clean(line, longestText)
}

// shortPlace is a place as people recognize it: the file and the folder that it is in.
func shortPlace(at string) string {
	dir, file := path.Split(at)
	if dir == "" {
		return at
	}
	return path.Join(path.Base(dir), file)
}

// place is a place in the program as editors and terminals find it.
func place(file string, line int) string {
	if file == "" {
		return ""
	}
	return file + ":" + strconv.Itoa(line)
}
