package httpapi

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Each player has a bound of its own, and players without submissions take no memory.
func TestInFlight(t *testing.T) {
	f := newInFlight(2, "%d are under way")
	first, err := f.begin("ada")
	require.NoError(t, err)
	second, err := f.begin("ada")
	require.NoError(t, err)
	_, err = f.begin("ada")
	require.Equal(t, leaderboard.CodeRateLimited, leaderboard.CodeOf(err))
	other, err := f.begin("grace")
	require.NoError(t, err)

	first()
	third, err := f.begin("ada")
	require.NoError(t, err)
	_, err = f.begin("ada")
	require.Error(t, err)

	second()
	third()
	other()
	require.Empty(t, f.counts)
}

func TestInFlightOfManyAtOnce(t *testing.T) {
	const most, players = 3, 4
	f := newInFlight(most, "%d are under way")
	var group sync.WaitGroup
	var now [players]atomic.Int64
	var begun atomic.Int64

	for i := range 16 * players {
		player := i % players
		group.Go(func() {
			for range 200 {
				end, err := f.begin(fmt.Sprint(player))
				if err != nil {
					continue
				}
				if now[player].Add(1) > most {
					t.Errorf("more than %d of player %d", most, player)
				}
				begun.Add(1)
				now[player].Add(-1)
				end()
			}
		})
	}

	group.Wait()
	require.GreaterOrEqual(t, begun.Load(), int64(players))
	require.Empty(t, f.counts)
}
