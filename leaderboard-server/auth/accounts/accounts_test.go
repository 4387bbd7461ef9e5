package accounts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestFileHasHashesOnly(t *testing.T) {
	account, secret := accounts.Account{Name: "match-server", Scopes: accounts.Scopes{accounts.Submit, accounts.Read}}.Issue(now)
	file, err := accounts.Set{account}.Marshal()
	require.NoError(t, err)
	require.Len(t, secret, 43, "256 bits in base64")
	require.NotContains(t, string(file), secret)

	set, err := accounts.Parse(file)
	require.NoError(t, err)
	require.Equal(t, accounts.Set{account}, set)
	read, found := set.Lookup("match-server")
	require.True(t, found)
	require.True(t, read.Accepts(secret, now))
	for _, wrong := range []string{"", secret + "A", secret[1:], strings.ToUpper(secret)} {
		require.False(t, read.Accepts(wrong, now))
	}
	_, found = set.Lookup("another")
	require.False(t, found)

	empty, err := accounts.Set(nil).Marshal()
	require.NoError(t, err)
	set, err = accounts.Parse(empty)
	require.NoError(t, err)
	require.Empty(t, set)
}

// A secret that is superseded is accepted until its end, the newest one for ever.
func TestOverlap(t *testing.T) {
	account, first := accounts.Account{Name: "match-server"}.Issue(now)
	account, second := account.Issue(now.Add(time.Hour))
	require.True(t, account.Accepts(first, now.Add(1000*time.Hour)), "nobody was given the second one yet")
	account = account.Supersede(now.Add(25 * time.Hour)).Supersede(now.Add(50 * time.Hour))

	for at, accepted := range map[time.Duration]bool{24 * time.Hour: true, 25 * time.Hour: false} {
		require.Equal(t, accepted, account.Accepts(first, now.Add(at)))
		require.True(t, account.Accepts(second, now.Add(at)))
	}
	require.Len(t, account.Prune(now.Add(24*time.Hour)).Secrets, 2)
	require.Equal(t, []accounts.Secret{account.Newest()}, account.Prune(now.Add(25*time.Hour)).Secrets)
	require.Equal(t, now.Add(time.Hour), account.Newest().IssuedAt)
}

func TestSecretsAreBounded(t *testing.T) {
	account, first := accounts.Account{Name: "match-server"}.Issue(now)
	secrets := map[string]bool{first: true}
	for range accounts.MaxSecrets {
		var secret string
		account, secret = account.Issue(now)
		secrets[secret] = true
	}
	require.Len(t, account.Secrets, accounts.MaxSecrets)
	require.Len(t, secrets, accounts.MaxSecrets+1, "each another one")
	require.False(t, account.Accepts(first, now))
}

func TestAdopt(t *testing.T) {
	_, secret := accounts.Account{}.Issue(now)
	account, ok := accounts.Account{Name: "match-server"}.Adopt(secret, now)
	require.True(t, ok)
	require.True(t, account.Accepts(secret, now))
	for _, chosen := range []string{"", "swordfish", secret + "AAAA"} {
		_, ok = accounts.Account{}.Adopt(chosen, now)
		require.False(t, ok)
	}
}

func TestScopes(t *testing.T) {
	scopes, ok := accounts.ParseScopes("read  submit read")
	require.True(t, ok)
	require.Equal(t, accounts.Scopes{accounts.Read, accounts.Submit}, scopes)
	require.Equal(t, "read submit", scopes.String())
	require.Equal(t, accounts.Scopes{accounts.Submit}, scopes.In(accounts.Scopes{accounts.Submit, accounts.Admin}))
	_, ok = accounts.ParseScopes("read write")
	require.False(t, ok)
}

func TestParseRefuses(t *testing.T) {
	hash := strings.Repeat("0f", 32)
	account := func(name, scopes, secret string) string {
		return fmt.Sprintf(`{"name": %q, "scopes": [%s], "secrets": [%s]}`, name, scopes, secret)
	}
	good := account("match-server", `"submit"`, `{"sha256": "`+hash+`", "issuedAt": "2026-07-01T12:00:00Z", "expiresAt": "2026-07-02T12:00:00Z"}`)
	_, err := accounts.Parse([]byte(`{"accounts": [` + good + `]}`))
	require.NoError(t, err, "what the cases below change is right before")

	for says, list := range map[string]string{
		"not {":             account("match-server", `"submit"`, `{"sha256": "0f"}`),
		"as documented":     strings.Replace(good, `"scopes"`, `"scope"`, 1),
		"is there twice":    good + ", " + good,
		"the name of":       account("Match", `"submit"`, ""),
		"3 to 32":           account("ab", `"submit"`, ""),
		"begin and end":     account("match-", `"submit"`, ""),
		"one or more of":    account("match-server", "", ""),
		"submit read":       account("match-server", `"write"`, ""),
		"has 9 secrets":     account("match-server", `"submit"`, strings.Repeat(`{"sha256": "`+hash+`"}, `, 8)+`{"sha256": "`+hash+`"}`),
		"at most 16 are":    strings.Repeat(good+", ", 16) + good,
		"are 17 service":    strings.Repeat(good+", ", 16) + good,
		"not {\"accounts\"": `"match-server"`,
	} {
		_, err := accounts.Parse([]byte(`{"accounts": [` + list + `]}`))
		require.ErrorContains(t, err, says)
	}
}
