package observe

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// lineWidth is how many columns a terminal is taken to have.
const lineWidth = 96

// textWriter writes lines for a terminal. It does so in silence: the client may have left.
type textWriter struct{ w *bufio.Writer }

func newTextWriter(w io.Writer) *textWriter { return &textWriter{bufio.NewWriter(w)} }

func (w *textWriter) line(format string, args ...any) {
	w.w.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n") //nolint:errcheck // see above
}

func (w *textWriter) title(text string) { w.line("\n%s", strings.ToUpper(text)) }

// fold writes text behind indent in as many lines as it needs.
func (w *textWriter) fold(indent, text string) {
	width := max(20, lineWidth-utf8.RuneCountInString(indent))
	line, columns := "", 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		if columns > 0 && columns+1+n > width {
			w.line("%s%s", indent, line)
			line, columns = "", 0
		}
		if columns > 0 {
			line, columns = line+" ", columns+1
		}
		line, columns = line+word, columns+n
	}
	w.line("%s%s", indent, line)
}

// table is rows whose cells stand below one another, and notes that belong to the row above and do not.
type table struct {
	align string // for each column, l or r
	rows  []tableRow
}

type tableRow struct {
	cells []string
	notes []string
}

// widest is how many columns of a terminal a cell may take: one long name is not to move all others.
const widest = 48

func (t *table) row(cells ...any) {
	r := tableRow{}
	for _, c := range cells {
		text := fmt.Sprint(c)
		if runes := []rune(text); len(runes) > widest {
			text = string(runes[:widest-1]) + "…"
		}
		r.cells = append(r.cells, text)
	}
	t.rows = append(t.rows, r)
}

func (t *table) note(text string) {
	last := &t.rows[len(t.rows)-1]
	last.notes = append(last.notes, text)
}

func (w *textWriter) table(align string, fill func(t *table)) {
	t := &table{align: align}
	fill(t)
	width := make([]int, len(align))
	for _, r := range t.rows {
		for i, c := range r.cells {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, r := range t.rows {
		var line strings.Builder
		for i, c := range r.cells {
			space := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if align[i] == 'r' {
				line.WriteString("  " + space + c)
			} else {
				line.WriteString("  " + c + space)
			}
		}
		w.line("%s", line.String())
		for _, n := range r.notes {
			w.fold("      ", n)
		}
	}
}
