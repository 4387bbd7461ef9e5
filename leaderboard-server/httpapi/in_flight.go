package httpapi

import (
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// inFlight bounds how many requests of a kind each player, or each client, has under way
// in this server, so that one cannot fill the queue that all share.
type inFlight struct {
	most int
	// refusal is what who has that many is told; it takes the number.
	refusal string
	mu      sync.Mutex
	counts  map[string]int
}

func newInFlight(most int, refusal string) *inFlight {
	return &inFlight{most: most, refusal: refusal, counts: map[string]int{}}
}

// begin counts a request until end is called, or refuses it.
func (f *inFlight) begin(who string) (end func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.counts[who] >= f.most {
		return nil, leaderboard.Errorf(leaderboard.CodeRateLimited, "", f.refusal, f.most).After(time.Second)
	}

	f.counts[who]++
	return func() { f.end(who) }, nil
}

func (f *inFlight) end(who string) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.counts[who]--; f.counts[who] == 0 {
		delete(f.counts, who)
	}
}
