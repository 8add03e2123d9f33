package observe

import (
	"encoding/json"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Handler returns the live page: what runs, what waits, what is late, and who has canceled what. One address has all its
// forms: HTML for browsers, which keep it up to date by server-sent events, text for curl and everybody else, and JSON for
// those who accept application/json. The parameter format (html, text, json) overrides that.
//
// Without [Config.Allow] only the machine itself may see it. That is not enough where a proxy on the same machine passes
// everything on and does not say so, as nginx does by default. Mount it on a listener that users do not reach, beside
// net/http/pprof:
//
//	mux.Handle("/debug/grove", o.Handler())
func (o *Observer) Handler() http.Handler {
	p := &page{o: o, streams: make(chan struct{}, maxStreams)}
	return http.NewCrossOriginProtection().Handler(p)
}

// page is the live page.
type page struct {
	o       *Observer
	streams chan struct{} // holds one for each stream

	mu    sync.Mutex // held while a state is made, so that those who come meanwhile share it
	state *state
	main  []byte // of state, for browsers that look on; nil until one does
}

// maxStreams is how many browsers are kept up to date, and freshness how old a state may be that is shown: what the page
// costs does not grow with those who look.
const (
	maxStreams = 16
	freshness  = period / 2
)

// current returns a state that is fresh enough.
func (p *page) current() *state {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.currentLocked()
}

func (p *page) currentLocked() *state {
	if p.state == nil || time.Since(p.state.At) > freshness {
		p.state, p.main = p.o.state(), nil
	}
	return p.state
}

// changing returns what changes from second to second of the page in HTML.
func (p *page) changing() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.currentLocked(); p.main == nil {
		p.main = render("main", s)
	}
	return p.main
}

// forget has the next one who looks see what has changed.
func (p *page) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = nil
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept")
	if !p.o.cfg.Allow(r) {
		through := ""
		if by := proxied(r); by != "" {
			through = " through a proxy (" + by + ")"
		}
		http.Error(w, fmt.Sprintf(forbidden, r.RemoteAddr, through, r.Host), http.StatusForbidden)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		p.show(w, r)
	case http.MethodPost:
		p.act(w, r)
	default:
		h.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "The page can be read with GET, and acts on POST.", http.StatusMethodNotAllowed)
	}
}

const forbidden = `This page is for the machine that the process runs on, and the request came from %s%s for %q.
Make a tunnel, and open it by the name localhost:

    ssh -L 6060:127.0.0.1:6060 <this machine>

A program that has another way to know its operators says so in observe.Config.Allow.`

func (p *page) show(w http.ResponseWriter, r *http.Request) {
	switch format(r) {
	case "stream":
		p.stream(w, r)
	case "json":
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.Encode(p.current()) //nolint:errcheck,errchkjson // who asked has left
	case "html":
		p.html(w)
	case "text":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		p.current().text(w)
	default:
		http.Error(w, "The format is html, text or json.", http.StatusBadRequest)
	}
}

// formats are the media types of the page's forms.
var formats = map[string]string{
	"text/html": "html", "application/json": "json", "text/plain": "text", "text/event-stream": "stream",
}

// format is the form in which the page is wanted: what the parameter says, or else what Accept likes best.
func format(r *http.Request) string {
	if f := r.URL.Query().Get("format"); f != "" {
		return f
	}
	best, most := "text", 0.0
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		liked := 1.0
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
			liked = q
		}
		if f, ok := formats[media]; ok && liked > most {
			best, most = f, liked
		}
	}
	return best
}

// fromThisMachine reports whether a request comes from the machine itself: from one of its loopback addresses or over a
// unix socket, not through a proxy that says that it is one, which would make all the world local, and for a loopback name,
// which a site that has its own name point here cannot have.
func fromThisMachine(r *http.Request) bool {
	if proxied(r) != "" {
		return false
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return true
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// proxied returns the header in which a proxy says that it has passed r on; empty if none does.
func proxied(r *http.Request) string {
	for _, h := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(h) != "" {
			return h
		}
	}
	return ""
}
