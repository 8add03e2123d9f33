package observe

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"sync"
	"time"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// pageTemplate is parsed when somebody first looks.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"css":    func() template.CSS { return template.CSS(pageCSS) }, //nolint:gosec // it is ours
		"js":     func() template.JS { return template.JS(pageJS) },    //nolint:gosec // it is ours
		"counts": counts,
		"clock":  func(t time.Time) string { return t.Format(time.TimeOnly) },
		"ago":    ago,
		"since":  func(now, t time.Time) seconds { return seconds(now.Sub(t)) },
		"short":  shortPlace,
		"merge": func(all []endedGroup) map[string]any {
			kinds, rest := merge(all)
			return map[string]any{"Kinds": kinds, "Rest": rest}
		},
		"pair": func(a, b any) struct{ A, B any } { return struct{ A, B any }{a, b} },
	}).Parse(pageHTML))
})

// contentPolicy allows nothing but what is on the page.
var contentPolicy = sync.OnceValue(func() string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; img-src data:; " +
		"script-src " + hash(pageJS) + "; style-src " + hash(pageCSS)
})

func (p *page) html(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", contentPolicy())
	w.Header().Set("Referrer-Policy", "same-origin")
	w.Write(render("page", p.current()))
}

func render(part string, s *state) []byte {
	var b bytes.Buffer
	if err := pageTemplate().ExecuteTemplate(&b, part, s); err != nil {
		panic(err) // the template and its data are ours
	}
	return b.Bytes()
}
