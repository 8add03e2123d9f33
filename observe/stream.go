package observe

import (
	"bytes"
	"net/http"
	"time"

	"github.com/grove-go/grove/shutdown"
)

// streamLength is for how many seconds a browser is kept up to date before it has to ask again, which it does by itself. What
// a browser that has stopped reading was sent fits into the system's buffers for minutes, and its place is needed.
const streamLength = 300

// stream sends the changing part of the page once a second, until the browser leaves, the app stops, or it is time to make
// room. A browser whose buffers are full for some seconds is left: nobody waits for it.
func (p *page) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return // there is no end to wait for
	}
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		w.Header().Set("Retry-After", "10")
		http.Error(w, "Too many browsers are looking.", http.StatusServiceUnavailable)
		return
	}
	rc := http.NewResponseController(w)
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for range streamLength {
		event := event(p.changing())
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

// event is a server-sent event with this data. A browser that it was the last for asks again after a second.
func event(data []byte) []byte {
	var b bytes.Buffer
	b.WriteString("retry: 1000\n")
	for line := range bytes.Lines(data) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes()
}
