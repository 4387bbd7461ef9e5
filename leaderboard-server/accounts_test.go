package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// Service accounts are read again while the server works: a secret is replaced without a
// login that fails, a file that is damaged changes nothing, and one that is removed is gone.
func TestServiceAccountsAreReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "accounts.json")
	write := func(content []byte) { replaceFile(t, file, content) }
	publish := func(set accounts.Set) {
		content, err := set.Marshal()
		require.NoError(t, err)
		write(content)
	}

	account, first := accounts.Account{Name: "match-server", Scopes: accounts.Scopes{accounts.Submit}}.Issue(time.Now())
	publish(accounts.Set{account})
	environment := environment(t)
	environment[config.EnvServiceAccountsFile] = file
	r := start(t, environment)
	r.waitFor(t, "serving")
	logIn := func(secret string) bool {
		client := clientcredentials.Config{ClientID: "match-server", ClientSecret: secret, TokenURL: "http://" + r.api.address() + "/v1/auth/token"}
		_, err := client.Token(t.Context())
		return err == nil
	}
	until := func(done func() bool) {
		t.Helper()
		require.Eventually(t, done, patience, 100*time.Millisecond)
	}
	require.True(t, logIn(first))
	never := true // was one refused that is good

	// The new secret is known before it is used, and the old one is good until it is not listed.
	account, second := account.Issue(time.Now())
	publish(accounts.Set{account})
	until(func() bool {
		never = logIn(first) && never
		_, _, known := r.tokens.AuthenticateAccount("match-server", second)
		return known == nil
	})
	require.True(t, logIn(second))
	publish(accounts.Set{account.Supersede(time.Now().Add(-time.Second))})
	until(func() bool {
		never = logIn(second) && never
		_, _, err := r.tokens.AuthenticateAccount("match-server", first)
		return err != nil
	})
	require.True(t, never)

	write([]byte(`{"accounts": [{"name": "match-server"}]}`))
	until(func() bool { return strings.Contains(r.logs.String(), "cannot be used") })
	require.True(t, logIn(second))
	require.NotContains(t, r.logs.String(), first)
	require.NotContains(t, r.logs.String(), second)

	publish(nil)
	until(func() bool {
		_, _, err := r.tokens.AuthenticateAccount("match-server", second)
		return err != nil
	})
	require.False(t, logIn(second))
}
