package httpdeadline_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/deadline/httpdeadline"
)

// The service is given no more time than its client has, less the margin.
func Example() {
	service := httptest.NewServer(httpdeadline.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		left, _ := deadline.Remaining(r.Context())
		_, _ = fmt.Fprint(w, left <= 55*time.Second)
	}), httpdeadline.Policy{Max: time.Hour}))
	defer service.Close()
	client := &http.Client{Transport: httpdeadline.Transport(nil, httpdeadline.Policy{Margin: 5 * time.Second})}
	defer client.CloseIdleConnections()

	ctx, cancel := deadline.With(context.Background(), "page", time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, service.URL, nil)
	if err != nil {
		panic(err)
	}
	res, err := client.Do(r)
	if err != nil {
		panic(err)
	}
	var within bool
	_, err = fmt.Fscan(res.Body, &within)
	fmt.Println(within, err, res.Body.Close())
	// Output: true <nil> <nil>
}

// A handler that gives up without an answer leaves it to Handler to say why.
func ExampleHandler() {
	handler := httpdeadline.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}), httpdeadline.Policy{Default: time.Millisecond})
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil))
	fmt.Println(w.Code, w.Header().Get("Deadline-Expired"))
	// Output: 504 1
}

// A request that could not be answered in time is not sent.
func ExampleTransport() {
	client := &http.Client{Transport: httpdeadline.Transport(nil, httpdeadline.Policy{Min: time.Minute})}
	ctx, cancel := deadline.With(context.Background(), "page", time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:1/", nil)
	if err != nil {
		panic(err)
	}
	res, err := client.Do(r)
	if err == nil {
		_ = res.Body.Close()
	}
	e, ok := errors.AsType[*deadline.Error](err)
	fmt.Println(ok, e.Name)
	// Output: true page
}
