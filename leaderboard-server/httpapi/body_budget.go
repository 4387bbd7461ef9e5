package httpapi

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// freeBody is the part of a body that is not counted, in bytes: the bodies that
// game clients send are smaller, so that large ones cannot keep them out.
const freeBody = 4 << 10

// freeAnswer is how long an answer may be that is not counted, in bytes: a hundred entries
// without metadata are shorter.
const freeAnswer = 32 << 10

// bodyBudget bounds the memory of all bodies that are being read or worked on at
// once, however slowly they come, and of all long answers, however slowly they go.
type bodyBudget struct {
	limit int64
	used  atomic.Int64
}

// take counts n bytes, unless that is more than there may be.
func (b *bodyBudget) take(n int64) bool {
	if b.used.Add(n) <= b.limit {
		return true
	}
	b.used.Add(-n)
	return false
}

// meteredBody is a request's body whose bytes are bounded, and counted as they come.
type meteredBody struct {
	io.ReadCloser
	source io.ReadCloser // without a bound
	w      http.ResponseWriter
	budget *bodyBudget
	read   int64
	taken  int64
	answer int64 // what is taken for the answer
}

// newMeteredBody bounds the body of a request to maxBody.
func (a *API) newMeteredBody(w http.ResponseWriter, r *http.Request) *meteredBody {
	b := &meteredBody{source: r.Body, w: w, budget: &a.bodies}
	b.bound(maxBody)
	return b
}

// bound sets how many bytes there may be. Nothing must have been read.
func (b *meteredBody) bound(most int64) { b.ReadCloser = http.MaxBytesReader(b.w, b.source, most) }

// Read implements [io.Reader]. It fails with CodeBusy when bodies take all the
// memory that they may.
func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)

	if over := b.read - freeBody - b.taken; over > 0 {
		if !b.budget.take(over) {
			b.w.Header().Set("Connection", "close") // or the answer would wait for the rest of the body
			return n, leaderboard.Errorf(leaderboard.CodeBusy, "", "too many large bodies are under way: try again in a moment").After(time.Second)
		}
		b.taken += over
	}

	return n, err
}

// release gives back what the body and the answer took. The request must be over.
func (b *meteredBody) release() { b.budget.used.Add(-b.taken - b.answer) }

// holdAnswer counts the bytes of an answer until the request is over. It fails with CodeBusy
// when there is no room for them.
func holdAnswer(r *http.Request, size int) error {
	b, ok := r.Body.(*meteredBody)
	if !ok || size <= freeAnswer {
		return nil
	}
	if !b.budget.take(int64(size)) {
		return leaderboard.Errorf(leaderboard.CodeBusy, "", "too many long answers are under way: try again in a moment, or ask for fewer entries").After(time.Second)
	}
	b.answer += int64(size)
	return nil
}

// answerHeld answers with a value whose size is held to the budget.
func answerHeld(w http.ResponseWriter, r *http.Request, value any) error {
	content := encode(value)
	if err := holdAnswer(r, len(content)); err != nil {
		return err
	}
	writeBytes(w, mediaJSON, http.StatusOK, content)
	return nil
}
