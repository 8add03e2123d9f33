package web

import (
	"embed"
	"net/http"
)

// files are the page as it is sent: no build step stands between them and the browser.
//
//go:embed page
var files embed.FS

// page serves the files at / under a policy that lets the page load and ask nothing but this server.
func page(mux *http.ServeMux) {
	for pattern, name := range map[string]string{
		"GET /{$}":       "page/index.html",
		"GET /style.css": "page/style.css",
		"GET /script.js": "page/script.js",
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "+
				"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, files, name)
		})
	}
}
