package ucd_test

import (
	"html"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/search/internal/ucd"
)

func TestAllListsNamedCharactersInOrderOfCodePoints(t *testing.T) {
	all := ucd.All()
	require.Greater(t, len(all), 30_000)
	require.True(t, slices.IsSortedFunc(all, func(a, b ucd.Char) int { return int(a.Rune - b.Rune) }))
	require.Contains(t, all, ucd.Char{Rune: '☃', Name: "SNOWMAN"})
	require.Contains(t, all, ucd.Char{Rune: ' ', Name: "SPACE"})
}

func TestAllLeavesOutCharactersThatShareALabel(t *testing.T) {
	labelled := []rune{0x00, 0x4E00, 0xD800, 0xE000, 0xFFFF}
	require.False(t, slices.ContainsFunc(ucd.All(), func(c ucd.Char) bool { return slices.Contains(labelled, c.Rune) }))
}

func TestNamesHaveOnlyLettersDigitsSpacesAndHyphens(t *testing.T) {
	alphabet := regexp.MustCompile(`^[A-Z0-9 -]+$`)
	for _, c := range ucd.All() {
		if !alphabet.MatchString(c.Name) {
			t.Errorf("%s: %q", c.Code(), c.Name)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]rune{}
	for _, c := range ucd.All() {
		if r, twice := seen[c.Name]; twice {
			t.Errorf("%q is %U and %U", c.Name, r, c.Rune)
		}
		seen[c.Name] = c.Rune
	}
}

func TestSnowman(t *testing.T) {
	c := ucd.Char{Rune: '☃', Name: "SNOWMAN"}
	require.Equal(t, "U+2603", c.Code())
	require.Equal(t, "E2 98 83", c.UTF8())
	require.Equal(t, "&#x2603;", c.HTML())
	require.Equal(t, "Other Symbol", c.Category())
}

func TestCodeOutsideTheBasicPlaneHasAllItsDigits(t *testing.T) {
	require.Equal(t, "U+1F600", ucd.Char{Rune: '😀'}.Code())
	require.Equal(t, "U+0041", ucd.Char{Rune: 'A'}.Code())
}

func TestHTMLReadsBackAsTheCharacter(t *testing.T) {
	for _, c := range ucd.All() {
		if got := html.UnescapeString(c.HTML()); got != string(c.Rune) {
			t.Errorf("%s: %s reads as %q", c.Code(), c.HTML(), got)
		}
	}
}

func TestEveryNamedCharacterHasACategory(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range ucd.All() {
		seen[c.Category()] = true
	}
	require.NotContains(t, seen, "Unassigned")
	require.NotContains(t, seen, "Symbol")
	for category := range seen {
		require.Regexp(t, `^[A-Z][a-z]+( [A-Z][a-z]+)?$`, category)
	}
	require.Contains(t, seen, "Decimal Number")
	require.Contains(t, seen, "Nonspacing Mark")
}
