package shed

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Middleware returns a handler that gives the requests that [Shedder.Allow] admits to next and answers the others with
// 503 and a Retry-After, without reading their bodies. It must stand before whatever a refused request should not cost:
// authentication, decoding, limiters that queue. In HTTP/1, net/http reads what is left of a body before it answers: up to
// 4 KiB, to keep the connection. One whose client is still sending more than that, or nobody knows how much, is answered
// at once and closed. next gets the ResponseWriter as it is, so streams and upgrades work; they are refused, like other
// requests, only before they begin. Middleware panics if next is nil.
func (s *Shedder) Middleware(next http.Handler) http.Handler {
	s.mustBeMade()
	if next == nil {
		panic("shed: Middleware called with a nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Allow(s.policy.Priority(r)) {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Retry-After", s.retry[rand.IntN(len(s.retry))])
		if r.ProtoMajor == 1 && (r.ContentLength < 0 || r.ContentLength > 4<<10) {
			h.Set("Connection", "close")
		}
		http.Error(w, "The server is too busy.", http.StatusServiceUnavailable)
	})
}

// retries returns the values of Retry-After around mean: the whole seconds from half to one and a half times of it.
func retries(mean time.Duration) (values []string) {
	for s := (mean + 2*time.Second - 1) / (2 * time.Second); s <= mean*3/2/time.Second; s++ {
		values = append(values, strconv.Itoa(int(s)))
	}
	return values
}
