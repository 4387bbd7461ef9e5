package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

// A hash is replaced only while it is the one that was read.
func TestUpdatePasswordHash(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	var players []leaderboard.Player
	for _, name := range []string{"ada", "grace"} {
		p, err := f.Ledger.CreatePlayer(t.Context(), leaderboard.Player{Username: name, UsernameKey: name, PasswordHash: "first"}, nil)
		require.NoError(t, err)
		players = append(players, p)
	}

	ada := players[0].Number
	require.NoError(t, f.Ledger.UpdatePasswordHash(t.Context(), ada, "first", "second"))
	require.NoError(t, f.Ledger.UpdatePasswordHash(t.Context(), ada, "first", "third"), "somebody was faster: nothing to do")

	for i, hash := range []string{"second", "first"} {
		p, err := f.Ledger.PlayerByID(t.Context(), players[i].ID)
		require.NoError(t, err)
		players[i].PasswordHash = hash
		require.Equal(t, players[i], p, "nothing else changes")
	}
}
