package observe

import (
	"bytes"
	"net/http"
	"time"

	"github.com/grove-go/grove/shutdown"
)

// stream sends the changing part of the page once a second, until the browser leaves or the app stops. A browser that does
// not read for some seconds is left: nobody waits for it.
func (p *page) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		w.Header().Set("Retry-After", "10")
		http.Error(w, "Too many browsers are looking.", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		event := event(p.main())
		// Where there are no deadlines, as in tests, a write blocks for as long as it likes.
		_ = rc.SetWriteDeadline(time.Now().Add(5 * period))
		if _, err := w.Write(event); err != nil {
			return
		}
		if err := rc.Flush(); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		case <-shutdown.Stopping(r.Context()):
			return
		}
	}
}

// event is a server-sent event with this data.
func event(data []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(data) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes()
}
