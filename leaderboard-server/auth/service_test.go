package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

func TestServiceTokenRoundTrip(t *testing.T) {
	tokens, clock := newTokens(t, newKeys(t))
	account, secret := accounts.Account{Name: "match-server", Scopes: accounts.Scopes{accounts.Submit, accounts.Read}}.Issue(clock.now)
	tokens.SetAccounts(accounts.Set{account})

	found, match, err := tokens.AuthenticateAccount("match-server", secret)
	require.NoError(t, err)
	require.Equal(t, account, found)
	require.Equal(t, account.Newest(), match)
	for name, secret := range map[string]string{"match-server": secret[1:], "another-server": secret, "": ""} {
		_, _, err := tokens.AuthenticateAccount(name, secret)
		require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(err))
	}

	token, err := tokens.IssueService("match-server", match, accounts.Scopes{accounts.Submit})
	require.NoError(t, err)
	for range 2 { // the second time from the cache
		identity, err := tokens.Verify(token)
		require.NoError(t, err)
		require.Equal(t, auth.Identity{Account: "match-server", Secret: match.ID(), Scopes: accounts.Scopes{accounts.Submit}}, identity)
	}

	clock.now = clock.now.Add(auth.ServiceTokenTTL + auth.ClockTolerance)
	_, err = tokens.Verify(token)
	require.ErrorContains(t, err, "expired")
}

// A token, though it was verified before, does no more than its account may do now.
func TestServiceTokensFollowTheirAccount(t *testing.T) {
	tokens, clock := newTokens(t, newKeys(t))
	account, _ := accounts.Account{Name: "match-server", Scopes: accounts.Scopes{accounts.Submit, accounts.Read}}.Issue(clock.now)
	token, err := tokens.IssueService("match-server", account.Newest(), account.Scopes)
	require.NoError(t, err)

	for _, c := range []struct {
		set    accounts.Set
		scopes accounts.Scopes
	}{
		{accounts.Set{account}, account.Scopes},
		{accounts.Set{{Name: "match-server", Scopes: accounts.Scopes{accounts.Read, accounts.Admin}, Secrets: account.Secrets}}, accounts.Scopes{accounts.Read}},
		{accounts.Set{account}, account.Scopes},
	} {
		tokens.SetAccounts(c.set)
		identity, err := tokens.Verify(token)
		require.NoError(t, err)
		require.Equal(t, c.scopes, identity.Scopes)
	}

	// Of another secret tokens are good for as long as that is.
	rotated, _ := account.Issue(clock.now)
	tokens.SetAccounts(accounts.Set{rotated})
	_, err = tokens.Verify(token)
	require.NoError(t, err)
	again, _ := accounts.Account{Name: "match-server", Scopes: account.Scopes}.Issue(clock.now)
	for _, gone := range []accounts.Account{rotated.Supersede(clock.now), again, {Name: "match-server", Scopes: account.Scopes}} {
		tokens.SetAccounts(accounts.Set{gone})
		_, err = tokens.Verify(token)
		require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(err))
		require.ErrorContains(t, err, "no longer has")
	}

	tokens.SetAccounts(accounts.Set{{Name: "another-server", Scopes: account.Scopes}})
	_, err = tokens.Verify(token)
	require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(err))
	require.ErrorContains(t, err, "no longer there")
}
