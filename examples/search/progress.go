package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/grove-go/grove/examples/search/internal/store"
)

// newProgress shows how far the loading of the characters has come: with a bar if w is a terminal, else in lines of the log.
func newProgress(w io.Writer, log *slog.Logger) store.Progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return func(done, total int) { bar(w, done, total) }
	}
	quarter := 0
	return func(done, total int) {
		if q := 4 * done / total; q > quarter {
			quarter = q
			log.Info("loading", "characters", done, "of", total)
		}
	}
}

// bar draws over the bar drawn before.
func bar(w io.Writer, done, total int) {
	const width = 40
	end := ""
	if done == total {
		end = "\n"
	}
	fmt.Fprintf(w, "\rloading [%-*s] %d/%d characters%s", //nolint:errcheck // nobody is looking
		width, strings.Repeat("=", width*done/total), done, total, end)
}
