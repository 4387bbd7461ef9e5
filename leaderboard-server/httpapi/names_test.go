package httpapi_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// Players of all scripts register, and log in however the name is spelt.
func TestUsernames(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.options.Auth.RegisterRatePerClient.Events, g.options.Auth.LoginRatePerClient.Events = 0, 0
	g.server = g.serve(g.options)

	for _, c := range [][3]string{
		{"_Zoë", "_Zoë", "_ZOE\u0308"}, {"José-", "José-", "josé-"}, {"1小明明", "1小明明", "１小明明"}, {"99Ёлка", "99Ёлка", "99ёЛКА"},
		{"小明", "小明", "小明"}, {"Ｐlayer", "Player", "PLAYER"}, {"น้ำ", "น้\u0e4d\u0e32", "น้ำ"}, {"راعي١٢", "راعي١٢", "راعي١٢"},
		{"क्\u200cषत्रिय", "क्\u200cषत्रिय", "क्\u200cषत्रिय"}, {"Dahyun다현", "Dahyun다현", "dahyun다현"},
		{strings.Repeat("का", 21), strings.Repeat("का", 21), strings.Repeat("का", 21)},
	} {
		var account httpapi.Account
		g.do(request{method: "POST", path: "/v1/auth/register", body: credentials(c[0], password)}).into(201, &account)
		require.Equal(t, c[1], account.Username)
		var token httpapi.Token
		g.login(c[2], password).into(200, &token)
		require.Equal(t, c[1], token.Username)
	}
}

// A refusal says what is wrong, and what is allowed.
func TestRefusedUsernames(t *testing.T) {
	g := newGame(t, gameOptions{reserved: []string{"admin", "Космос"}})
	g.options.Auth.RegisterRatePerClient.Events = 0
	g.server = g.serve(g.options)
	g.player("cop")

	for _, c := range []struct {
		username string
		status   int
		slug     string
		says     string
	}{
		{"<b>", 422, "invalid-request", "< (U+003C)"},
		{"ada lovelace", 422, "invalid-request", "a space (U+0020): letters, digits, and _ - . are allowed"},
		{"ada🎲", 422, "invalid-request", "🎲 (U+1F3B2)"},
		{"ﬁsh", 422, "invalid-request", "write fi"},
		{"аdmin", 422, "invalid-request", "the letter а (U+0430) is Cyrillic among Latin letters"},
		{"a" + strings.Repeat("\u0301\u0302", 10) + "bc", 422, "invalid-request", "too many marks"},
		{"王", 422, "invalid-request", "1 character"},
		{"Adm1n", 422, "invalid-request", "reserved"},
		{"КОСМОС", 422, "invalid-request", "reserved"},
		{"сор", 409, "username-taken", "looks like another one that is taken"},
		{"Cop", 409, "username-taken", "is taken"},
	} {
		p := g.do(request{method: "POST", path: "/v1/auth/register", body: credentials(c.username, password)}).problem(c.status, c.slug, "username")
		require.Contains(t, p.Detail, c.says)
		require.NotContains(t, p.Detail, "cop")
	}
	require.Equal(t, 1, g.count("players"))
	require.Equal(t, 1, g.count("name_skeletons"))
}

// A player keeps a name that could not be registered today.
func TestUsernamesFromBefore(t *testing.T) {
	g := newGame(t, gameOptions{reserved: []string{"admin"}})
	g.player("ada")
	g.sql("UPDATE players SET username = 'Аdmin', username_key = 'аdmin'") // its first letter is Cyrillic
	var token httpapi.Token
	g.login("аDMIN", password).into(200, &token)
	require.Equal(t, "Аdmin", token.Username)
	require.EqualValues(t, 5, g.submit(token.AccessToken, "", 5).ScoreSaved)
}
