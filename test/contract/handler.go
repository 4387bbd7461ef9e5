package contract

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/go-chi/chi/v5/middleware"
)

// Handler checks all that a handler answers, and reports what is wrong.
func (c *Contract) Handler(next http.Handler, report func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.underWay.Add(1)
		defer c.underWay.Done()

		var sent, received bytes.Buffer
		request := r.Clone(r.Context())
		request.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &sent), r.Body}
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		wrapped.Tee(&received)
		next.ServeHTTP(wrapped, request)

		status := wrapped.Status()
		if status == 0 {
			status = http.StatusOK
		}
		if r.Method == http.MethodHead {
			received.Reset() // net/http sends no body then
		}
		content, err := decoded(wrapped.Header(), &received)
		if err == nil {
			err = c.Check(r, sent.Bytes(), &http.Response{StatusCode: status, Header: wrapped.Header()}, content)
		}
		if err != nil {
			report(err)
		}
	})
}

// Observer checks a sample of exchanges. A check takes a millisecond, and several with the
// race detector.
type Observer struct {
	contract *Contract
	oneIn    int
	report   func(error)

	mu     sync.Mutex
	counts map[string]int // of the exchanges of a path and status
}

// Observer returns one that checks one in oneIn exchanges of each path and status, the
// first included, and reports what is wrong.
func (c *Contract) Observer(oneIn int, report func(error)) *Observer {
	return &Observer{contract: c, oneIn: oneIn, report: report, counts: map[string]int{}}
}

// Observe takes what Check takes.
func (o *Observer) Observe(request *http.Request, sent []byte, answer *http.Response, received []byte) {
	kind := fmt.Sprint(request.Method, request.URL.Path, answer.StatusCode)
	o.mu.Lock()
	count := o.counts[kind]
	o.counts[kind]++
	o.mu.Unlock()

	if count%o.oneIn != 0 {
		return
	}
	if err := o.contract.Check(request, sent, answer, received); err != nil {
		o.report(err)
	}
}

// decoded is the content of an answer without its Content-Encoding.
func decoded(header http.Header, body *bytes.Buffer) ([]byte, error) {
	if header.Get("Content-Encoding") == "gzip" && body.Len() > 0 {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("unpack the answer: %w", err)
		}
		return io.ReadAll(unpacked)
	}
	return body.Bytes(), nil
}
