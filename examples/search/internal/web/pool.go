package web

import (
	"encoding/json"
	"net/http"
	"net/netip"
)

// client is on whose behalf a request is made: the address that it comes from or, in IPv6, the network of 64 bits that
// one host has all of. Headers such as X-Forwarded-For are not asked: who wants more than a share would write another
// name into each. Behind a proxy that would have to be the header that the proxy itself sets.
func client(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := from.Addr().Unmap()
	if addr.Is6() {
		return netip.PrefixFrom(addr.WithZone(""), 64).Masked().String()
	}
	return addr.String()
}

// pool answers with what the page shows of the pool in front of the database.
func (s *search) pool(w http.ResponseWriter, _ *http.Request) {
	stats := s.Stats()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	refused := stats.Refused.QueueFull + stats.Refused.MaxWait + stats.Refused.Shed
	_ = json.NewEncoder(w).Encode(map[string]any{ // fails when the client is gone
		"workers": stats.Workers, "running": stats.Running, "abandoned": stats.Abandoned,
		"queued": stats.Queued, "queue": stats.Queue, "oldestMs": stats.OldestQueued.Milliseconds(), "refused": refused,
	})
}
