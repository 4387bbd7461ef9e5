package ingress

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A backend that refuses connections costs no request: the next one gets it,
// with its whole body.
func TestRequestsOutliveARefusingBackend(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	defer echo.Close()

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	refusing := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}

	c := New(nil)
	c.table.Store(&table{"": {{prefix: "/", backends: []string{refusing, echo.Listener.Addr().String()}}}})
	proxy := httptest.NewServer(c.proxy())
	defer proxy.Close()

	for range 4 { // the balancer begins with either backend in turn
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, proxy.URL+"/", strings.NewReader("a score"))
		if err != nil {
			t.Fatal(err)
		}

		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}

		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}

		response.Body.Close()
		if response.StatusCode != http.StatusOK || string(body) != "a score" {
			t.Errorf("status %d, body %q", response.StatusCode, body)
		}
	}
}
