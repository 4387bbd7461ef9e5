package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// mediaLines is one JSON document a line.
const mediaLines = "application/x-ndjson"

// stream answers the items of a request line by line while they come. One chunk of items is
// under way while the next one is read, so each of the two deadlines, of a read and of a chunk,
// is the time of a request, and the whole has none.
type stream struct {
	api      *API
	service  *leaderboard.Service
	identity auth.Identity
	create   bool
	request  *http.Request
	control  *http.ResponseController

	out     *bufio.Writer
	encoder *json.Encoder // to out
	counts  resultCounts
}

// streamBatch takes scores line by line. It fails only where nothing was answered yet.
func (a *API) streamBatch(w http.ResponseWriter, r *http.Request, service *leaderboard.Service, identity auth.Identity, create bool) error {
	if err := contentType(r, mediaJSON, mediaLines); err != nil {
		return err
	}
	if err := holdAnswer(r, 2*chunkBytes); err != nil {
		return err
	}

	control := http.NewResponseController(w)
	if err := control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) { // HTTP/2 needs none
		return err
	}

	out := bufio.NewWriterSize(w, freeAnswer)
	s := &stream{api: a, service: service, identity: identity, create: create, request: r, control: control, out: out, encoder: json.NewEncoder(out), counts: resultCounts{}}
	s.encoder.SetEscapeHTML(false)

	w.Header().Set("Content-Type", mediaLines)
	w.Header().Set("X-Accel-Buffering", "no") // or nginx keeps the answers until the end
	lines := readLines(s.source(r), control, a.HTTP.RequestTimeout)
	defer lines.stop()
	if r.Header.Get("Expect") == "" { // else the client waits to be told to go on
		w.WriteHeader(http.StatusOK)
		_ = control.Flush() // one that cannot be is flushed with the first answers
	}

	s.run(lines)
	return nil
}

// source is the request's body without the bound of its size.
func (s *stream) source(r *http.Request) io.Reader {
	if body, ok := r.Body.(*meteredBody); ok {
		return body.source
	}
	return r.Body
}

// run answers until the lines end, the client leaves or the server stops.
func (s *stream) run(lines *lines) {
	for {
		items, end := lines.take(s.api.Stopping)
		s.store(items)
		if end == nil {
			if s.flush() != nil {
				return
			}
			continue
		}

		s.end(end)
		_ = s.flush() // a client that has left sees no end
		return
	}
}

// store makes a chunk durable and writes what became of it.
func (s *stream) store(items []item) {
	if len(items) == 0 {
		return
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.request.Context()), s.api.HTTP.RequestTimeout)
	defer cancel()
	if err := s.api.storeItems(ctx, s.service, s.identity, batch{items, s.create}); err != nil {
		for i := range items {
			if items[i].Err == nil {
				items[i].Err = err
			}
		}
	}

	s.beginWriting()
	catalog, info := s.service.Catalog(), requestInfo(s.request)
	for i := range items {
		result := resultOf(&items[i], catalog, info)
		s.counts[result.Status]++
		_ = s.encoder.Encode(result) // out remembers that it failed
	}
}

// beginWriting gives what is written next the time of a request.
func (s *stream) beginWriting() {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.api.HTTP.RequestTimeout)) // without one, that of the connection holds
}

// flush sends what was written.
func (s *stream) flush() error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	return s.control.Flush()
}

// end writes the last line. The deadline of the results before it may be over: so it is where the
// stream ends as nothing came for as long.
func (s *stream) end(why error) {
	s.beginWriting()
	last := BatchEnd{Accepted: s.counts[Accepted], Repeated: s.counts[Repeated], Refused: s.counts[Refused], Unknown: s.counts[Unknown]}
	switch {
	case errors.Is(why, io.EOF):
		last.End = Complete
	case errors.Is(why, errStopping):
		last.End = Stopping
	default:
		last.End = Failed
		document := toProblem(why).document(requestInfo(s.request))
		last.Problem = &document
		requestInfo(s.request).failed(why)
	}
	_ = s.encoder.Encode(last) // as in store
}
