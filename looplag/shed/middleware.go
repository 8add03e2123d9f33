package shed

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Middleware returns a handler that gives the requests that [Shedder.Allow] admits to next and answers the others with
// 503 and a Retry-After, without reading their bodies. It must stand before whatever a refused request should not cost:
// authentication, decoding, limiters that queue. A connection whose client is still sending more than 4 KiB of body,
// or nobody knows how much, is closed after the answer, as net/http would otherwise read that first. next gets the
// ResponseWriter as it is, so streams and upgrades work; they are refused, like other requests, only before they begin.
// Middleware panics if next is nil.
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
	for s := (mean + time.Second) / 2 / time.Second; s <= mean*3/2/time.Second; s++ {
		values = append(values, strconv.Itoa(int(s)))
	}
	return values
}
