// Package patterns_test has the snippets of docs/patterns.md: they are compiled, vetted and run as examples here.
package patterns_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEverySnippetOfPatternsIsCompiledHere(t *testing.T) {
	page, err := os.ReadFile("../../../docs/patterns.md")
	require.NoError(t, err)
	names, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var sources [][]string
	for _, name := range names {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		sources = append(sources, strings.Split(string(source), "\n"))
	}
	snippets := goSnippets(string(page))
	require.NotEmpty(t, snippets)
	for _, snippet := range snippets {
		require.True(t, isIn(sources, snippet), "compiled nowhere:\n%s", strings.Join(snippet, "\n"))
	}
}

func TestSnippetsAreFoundAtAnyDepthOnly(t *testing.T) {
	sources := [][]string{{"func f() {", "\tif x {", "\t\ty()", "", "\t}", "}"}}
	for _, c := range []struct {
		snippet []string
		found   bool
	}{
		{[]string{"if x {", "\ty()", "", "}"}, true},
		{[]string{"y()"}, true},
		{[]string{"\tif x {", "\t\ty()"}, true},
		{[]string{"if x {", "y()"}, false},
		{[]string{"if x {", "\ty()", "}"}, false},
		{[]string{"\ty()", "}"}, false},
		{[]string{"}", "}", "}"}, false},
	} {
		require.Equal(t, c.found, isIn(sources, c.snippet), "%q", c.snippet)
	}
}

// goSnippets are the lines of each code block that is marked as Go.
func goSnippets(page string) [][]string {
	var snippets [][]string
	blocks := strings.Split(page, "\n```go\n")
	for _, b := range blocks[1:] {
		code, _, _ := strings.Cut(b, "\n```")
		snippets = append(snippets, strings.Split(code, "\n"))
	}
	return snippets
}

// isIn reports whether the lines of a snippet follow each other in a source, all of them indented by the same number of
// tabs or more.
func isIn(sources [][]string, snippet []string) bool {
	want := dedent(snippet)
	for _, source := range sources {
		for i := range len(source) - len(snippet) + 1 {
			if dedent(source[i:i+len(snippet)]) == want {
				return true
			}
		}
	}
	return false
}

// dedent joins lines without the tabs that all of them begin with, blank ones apart.
func dedent(lines []string) string {
	tabs := -1
	for _, line := range lines {
		if n := len(line) - len(strings.TrimLeft(line, "\t")); line != "" && (tabs < 0 || n < tabs) {
			tabs = n
		}
	}
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(strings.TrimPrefix(line, strings.Repeat("\t", max(tabs, 0))) + "\n")
	}
	return b.String()
}
