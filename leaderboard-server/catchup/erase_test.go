package catchup

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// What is left of a player is not deleted before everything has ended that may add to it: also a
// transaction that began to run before the erasure, and got its number two seconds later.
func TestErasuresWaitForWhatWasUnderWay(t *testing.T) {
	begun := time.Now()
	at := func(seconds float64, xmin, xmax uint64) leaderboard.Snapshot {
		return leaderboard.Snapshot{Now: begun.Add(time.Duration(seconds * float64(time.Second))), Xmin: xmin, Xmax: xmax}
	}
	e := &erasures{}
	require.False(t, e.due(at(0, 100, 100)), "there is none")
	e.begin(7, 9)
	require.True(t, e.pending())
	for _, s := range []leaderboard.Snapshot{at(1, 100, 110), at(2.9, 120, 120), at(3, 150, 160), at(4, 159, 300)} {
		require.False(t, e.due(s), s)
	}
	require.True(t, e.due(at(5, 160, 400)))

	e.begin(8, 10)
	require.False(t, e.due(at(6, 500, 500)), "of the next one nothing is known yet")
}
