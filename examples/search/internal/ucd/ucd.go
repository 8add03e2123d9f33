// Package ucd lists the named characters of Unicode and tells what a person or a program wants to know of each.
//
// Names come from golang.org/x/text/unicode/runenames and categories from package unicode. Both follow the
// version of Unicode that the Go toolchain was released with, so the number of characters is counted, never
// assumed. Control characters, surrogates, private use and the ideographs that share one name for a whole range
// have no name of their own and are left out.
package ucd

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/runenames"
)

// Version is the version of Unicode that names and categories follow.
const Version = runenames.UnicodeVersion

// Char is a character that has a name of its own.
type Char struct {
	// Rune is the code point.
	Rune rune
	// Name is the character's name: upper-case letters A to Z, digits, spaces and hyphens.
	Name string
}

// All returns every named character in the order of code points. The caller owns the slice. It walks the whole
// code space, which takes some milliseconds: call it once.
func All() []Char {
	var all []Char
	for r := rune(0); r <= unicode.MaxRune; r++ {
		// Names in angle brackets, such as "<control>" and "<CJK Ideograph>", are labels that many
		// code points share.
		if name := runenames.Name(r); name != "" && name[0] != '<' {
			all = append(all, Char{Rune: r, Name: name})
		}
	}
	return all
}

// Code returns the code point as Unicode writes it, such as U+2603.
func (c Char) Code() string { return fmt.Sprintf("U+%04X", c.Rune) }

// UTF8 returns the bytes of the character's UTF-8 encoding in hexadecimal, such as E2 98 83.
func (c Char) UTF8() string { return fmt.Sprintf("% X", string(c.Rune)) }

// HTML returns the character as a numeric character reference, such as &#x2603;.
func (c Char) HTML() string { return fmt.Sprintf("&#x%X;", c.Rune) }

// Category returns the long name of the character's general category, such as Other Symbol.
func (c Char) Category() string {
	for _, k := range categories {
		if unicode.Is(k.table, c.Rune) {
			return k.name
		}
	}
	return "Unassigned"
}

type category struct {
	name  string
	table *unicode.RangeTable
}

// categories are the general categories proper, of which every character has exactly one.
var categories = func() []category {
	var list []category
	for long, short := range unicode.CategoryAliases {
		// What is left out unites several categories (L, LC) or repeats one under its POSIX name (digit).
		if len(short) == 2 && short != "LC" && unicode.IsUpper(rune(long[0])) && unicode.Categories[short] != nil {
			list = append(list, category{strings.ReplaceAll(long, "_", " "), unicode.Categories[short]})
		}
	}
	return list
}()
