package auth_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

func TestSealedTexts(t *testing.T) {
	keys := newKeys(t)
	tokens, clock := newTokens(t, keys)
	content := []byte("content\x00\xff")
	sealed, err := tokens.Seal("cursor", content)
	require.NoError(t, err)
	require.Equal(t, sealed, url.QueryEscape(sealed), "it needs no escaping")
	replica, _ := newTokens(t, keys)
	opened, err := replica.Open("cursor", sealed)
	require.NoError(t, err)
	require.Equal(t, content, opened)

	for i := range sealed {
		damaged := sealed[:i] + string(sealed[i]^1) + sealed[i+1:]
		_, err := tokens.Open("cursor", damaged)
		require.ErrorIs(t, err, auth.ErrNotSealed, "byte %d", i)
		_, err = tokens.Open("cursor", sealed[:i])
		require.ErrorIs(t, err, auth.ErrNotSealed, "cut at %d", i)
	}

	for _, bad := range []string{sealed + "\n", sealed + "=", sealed + ".", strings.Replace(sealed, ".", ".\n", 1), strings.Repeat(".", 1000)} {
		_, err := tokens.Open("cursor", bad)
		require.ErrorIs(t, err, auth.ErrNotSealed, "%q", bad)
	}

	_, err = tokens.Open("another purpose", sealed)
	require.ErrorIs(t, err, auth.ErrNotSealed)
	foreign, _ := newTokens(t, newKeys(t))
	_, err = foreign.Open("cursor", sealed)
	require.ErrorIs(t, err, auth.ErrNotSealed)

	// Another game that was given the same keys by mistake.
	other, err := auth.NewTokens("other", time.Hour, clock.Now)
	require.NoError(t, err)
	other.SetKeys(keys)
	_, err = other.Open("cursor", sealed)
	require.ErrorIs(t, err, auth.ErrNotSealed)
}

func TestSealedTextsOutliveARotation(t *testing.T) {
	keys := newKeys(t)
	tokens, clock := newTokens(t, keys)
	sealed, err := tokens.Seal("cursor", []byte("x"))
	require.NoError(t, err)
	rotated, err := keys.Rotate(clock.now, time.Minute, time.Hour)
	require.NoError(t, err)
	clock.now = clock.now.Add(2 * time.Minute)
	tokens.SetKeys(rotated)
	_, err = tokens.Open("cursor", sealed)
	require.NoError(t, err)
	anew, err := tokens.Seal("cursor", []byte("x"))
	require.NoError(t, err)
	require.NotEqual(t, sealed, anew)

	clock.now = clock.now.Add(2 * time.Hour)
	tokens.SetKeys(rotated.Prune(clock.now, time.Hour))
	_, err = tokens.Open("cursor", sealed)
	require.ErrorIs(t, err, auth.ErrNotSealed)
	_, err = tokens.Open("cursor", anew)
	require.NoError(t, err)
}

func TestNothingIsSealedWithoutKeys(t *testing.T) {
	tokens, err := auth.NewTokens("game", time.Hour, time.Now)
	require.NoError(t, err)
	_, err = tokens.Seal("cursor", nil)
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
	_, err = tokens.Open("cursor", "x")
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
}
