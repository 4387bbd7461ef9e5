package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
)

// Every server of the game derives the same key from a token, also after a rotation, and no other
// token and no other game has it.
func TestSessionKeys(t *testing.T) {
	now := time.Now()
	keys, err := keyset.New(now.Add(-time.Hour))
	require.NoError(t, err)
	server := func(tenant string, keys keyset.Set) *auth.Tokens {
		tokens, err := auth.NewTokens(tenant, time.Hour, func() time.Time { return now })
		require.NoError(t, err)
		tokens.SetKeys(keys)
		return tokens
	}

	one := server("game", keys)
	token, err := one.Issue(player, "")
	require.NoError(t, err)
	key, err := one.SessionKey(token)
	require.NoError(t, err)
	require.Len(t, key, auth.SessionKeySize)

	rotated, err := keys.Rotate(now, 0, time.Hour)
	require.NoError(t, err)
	later, err := server("game", rotated).SessionKey(token)
	require.NoError(t, err)
	require.Equal(t, key, later)

	again, err := one.Issue(player, "")
	require.NoError(t, err)
	require.NotEqual(t, token, again, "in the same second, for the same player")
	other, err := one.SessionKey(again)
	require.NoError(t, err)
	require.NotEqual(t, key, other)
	elsewhere, err := server("another", keys).SessionKey(token)
	require.NoError(t, err)
	require.NotEqual(t, key, elsewhere)

	fresh, err := keyset.New(now)
	require.NoError(t, err)
	_, err = server("game", fresh).SessionKey(token)
	require.Error(t, err, "the key was withdrawn")
	for _, text := range []string{"", ".", "e30.e30.", "!.!.!", token[1:]} {
		_, err := one.SessionKey(text)
		require.Error(t, err)
	}
}

// BenchmarkSessionKey is what the key of a signature costs.
func BenchmarkSessionKey(b *testing.B) {
	keys, err := keyset.New(time.Now())
	require.NoError(b, err)
	tokens, err := auth.NewTokens("game", time.Hour, time.Now)
	require.NoError(b, err)
	tokens.SetKeys(keys)
	token, err := tokens.Issue(player, "")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tokens.SessionKey(token); err != nil {
			b.Fatal(err)
		}
	}
}
