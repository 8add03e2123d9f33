// Package web answers the requests of the search server.
//
// A search looks in the cache of the process (L1), in the one that replicas share (L2), if there is one, and then in
// the database, and leaves what it found in the caches that it had to pass. It has a budget of time for all of that. The
// Server-Timing header of the answer tells which of them were asked and how long each took.
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/deadline/httpdeadline"
	"github.com/grove-go/grove/examples/internal/kit"
	"github.com/grove-go/grove/examples/search/internal/store"
	"github.com/grove-go/grove/examples/search/internal/ucd"
	"github.com/grove-go/grove/executor"
)

const (
	// cacheSize is how many bytes of answers the process keeps.
	cacheSize = 32 << 20
	// toAnswer is what a search leaves of a request's time, so that the client hears why it got nothing.
	toAnswer = 10 * time.Millisecond
)

// Shared is a cache that replicas share. Its failures are misses.
type Shared interface {
	Get(ctx context.Context, key string) ([]byte, error)
	SetLater(key string, value []byte)
}

// Config says what a handler works on.
type Config struct {
	// Database is asked when no cache has the answer.
	Database store.Database
	// Shared is the cache between the process and the database; nil means that there is none.
	Shared Shared
	// Stats tells what the pool in front of the database does, for the page; nil if there is none.
	Stats func() executor.Stats
	// Budget is what a request may take, unless its client says that it waits for less.
	Budget time.Duration
	// Log is told of failures and panics.
	Log *slog.Logger
}

// New returns the handler of the server's users: the page at /, what it shows of the pool at /pool, and GET /search.
func New(c Config) http.Handler {
	s := &search{
		Config: c,
		cache: otter.Must(&otter.Options[store.Query, []byte]{
			MaximumWeight: cacheSize,
			Weigher:       func(q store.Query, body []byte) uint32 { return uint32(len(q.Text) + len(body)) },
		}),
	}
	mux := http.NewServeMux()
	mux.Handle("GET /search", httpdeadline.Handler(kit.Handler(c.Log, s.serve), httpdeadline.Policy{Default: c.Budget}))
	if c.Stats != nil {
		mux.HandleFunc("GET /pool", s.pool)
	}
	page(mux)
	return mux
}

type search struct {
	Config
	// cache has answers as they are sent. Nobody changes them, so they are shared without a copy.
	cache *otter.Cache[store.Query, []byte]
}

func (s *search) serve(w http.ResponseWriter, r *http.Request) error {
	q, err := parse(r.URL.RawQuery)
	if err != nil {
		return err
	}
	ctx, cancel := deadline.Reserve(store.WithClient(r.Context(), client(r)), "search", toAnswer)
	defer cancel()
	var path timing
	body, err := s.answer(ctx, q, &path)
	h := w.Header()
	h.Set("Server-Timing", path.String())
	if spent, ok := deadline.Cause(ctx); ok && err != nil {
		return spent // the failure only came of it
	}
	if err != nil {
		return err
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.Write(body)
	return nil
}

// answer returns the answer to q from the nearest place that has it, and leaves it in those that are nearer.
func (s *search) answer(ctx context.Context, q store.Query, path *timing) ([]byte, error) {
	began := time.Now()
	body, hit := s.cache.GetIfPresent(q)
	path.add("l1", began, outcome(hit, nil))
	if hit {
		return body, nil
	}
	if s.Shared != nil {
		began = time.Now()
		body, err := s.Shared.Get(ctx, key(q))
		hit := err == nil && isAnswer(body)
		path.add("l2", began, outcome(hit, err))
		if hit {
			s.cache.Set(q, body)
			return body, nil
		}
	}
	began = time.Now()
	found, err := store.Find(ctx, s.Database, q)
	path.add("db", began, outcome(true, err))
	if err != nil {
		return nil, err
	}
	body = encode(found)
	s.cache.Set(q, body)
	if s.Shared != nil {
		s.Shared.SetLater(key(q), body)
	}
	return body, nil
}

// key is under what the answer to q is shared. Replicas that know another version of Unicode, or send answers of
// another form, do not share it.
func key(q store.Query) string {
	const form = "1"
	return form + ":" + ucd.Version + ":" + strconv.Itoa(q.Limit) + ":" + q.Text
}

// isAnswer reports whether body looks like what encode returns: others may write to the shared cache, too.
func isAnswer(body []byte) bool {
	return bytes.HasPrefix(body, []byte(`{"results":[`)) && json.Valid(body)
}

// result is a character as the answer has it.
type result struct {
	Code     string `json:"code"`
	Char     string `json:"char"`
	Name     string `json:"name"`
	UTF8     string `json:"utf8"`
	HTML     string `json:"html"`
	Category string `json:"category"`
}

func encode(found []ucd.Char) []byte {
	answer := struct {
		Results []result `json:"results"`
	}{make([]result, len(found))}
	for i, c := range found {
		answer.Results[i] = result{c.Code(), string(c.Rune), c.Name, c.UTF8(), c.HTML(), c.Category()}
	}
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false) // it is JSON by its type, and &#x2603; is easier to read than \u0026#x2603;
	if err := e.Encode(answer); err != nil {
		panic(err) // structs of strings always have an encoding
	}
	return body.Bytes()
}
