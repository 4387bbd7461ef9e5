package httpapi

import (
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// inFlight bounds how many submissions each player has under way in this server,
// so that one account cannot fill the queue that all share.
type inFlight struct {
	most    int
	mu      sync.Mutex
	players map[leaderboard.PlayerID]int
}

func newInFlight(most int) *inFlight {
	return &inFlight{most: most, players: map[leaderboard.PlayerID]int{}}
}

// begin counts a submission until end is called, or refuses it.
func (f *inFlight) begin(player leaderboard.PlayerID) (end func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.players[player] >= f.most {
		return nil, leaderboard.Errorf(leaderboard.CodeRateLimited, "",
			"this player has %d submissions under way: wait for an answer before sending the next one", f.most).After(time.Second)
	}

	f.players[player]++
	return func() { f.end(player) }, nil
}

func (f *inFlight) end(player leaderboard.PlayerID) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.players[player]--; f.players[player] == 0 {
		delete(f.players, player)
	}
}
