package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

func TestRefreshTokens(t *testing.T) {
	first := auth.NewRefreshToken()
	parsed, ok := auth.ParseRefreshToken(first.String())
	require.True(t, ok)
	require.Equal(t, first, parsed)
	require.NotEqual(t, first, auth.NewRefreshToken())

	nonce := auth.NewNonce()
	next := first.Next(nonce)
	require.Equal(t, next, parsed.Next(nonce), "the same for the same token and nonce")
	require.Equal(t, first.Login(), next.Login())
	require.NotEqual(t, first.Hash(), next.Hash())
	require.NotEqual(t, next, first.Next(auth.NewNonce()))
	require.NotEqual(t, next, auth.NewRefreshToken().Next(nonce))

	for i := range first.String() {
		_, ok := auth.ParseRefreshToken(first.String()[:i])
		require.False(t, ok, "cut at %d", i)
	}
}

// What other servers have changed holds for tokens from before, also those that were verified.
func TestChangesOfAccounts(t *testing.T) {
	tokens, _ := newTokens(t, newKeys(t))
	login, other := auth.NewLoginID(), auth.NewLoginID()
	of := func(login leaderboard.LoginID) string {
		token, err := tokens.Issue(player, login)
		require.NoError(t, err)
		_, err = tokens.Verify(token)
		require.NoError(t, err)
		return token
	}
	first, second := of(login), of(other)

	tokens.Apply(leaderboard.AccountChange{Player: player.ID, Login: login}, leaderboard.AccountChange{Player: player.ID, Username: "Lovelace"})
	_, err := tokens.Verify(first)
	require.ErrorContains(t, err, "has ended")
	identity, err := tokens.Verify(second)
	require.NoError(t, err)
	require.Equal(t, auth.Identity{Player: player.ID, Username: "Lovelace", TokenVersion: 3, Login: other}, identity)

	tokens.Apply(leaderboard.AccountChange{Player: player.ID, TokenVersion: 3})
	_, err = tokens.Verify(second)
	require.NoError(t, err, "it has that version")
	tokens.Apply(leaderboard.AccountChange{Player: player.ID, TokenVersion: 4})
	_, err = tokens.Verify(second)
	require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(err))

	tokens.ForgetChanges()
	for _, token := range []string{first, second} {
		_, err = tokens.Verify(token)
		require.NoError(t, err)
	}
}
