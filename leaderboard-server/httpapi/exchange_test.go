package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
	"github.com/leaderboard-dev/leaderboard-operator/test/oidcserver"
)

// exchange is an exchange of a token as RFC 8693 has it, with pairs of further parameters.
func exchange(token, kind string, pairs ...string) request {
	form := url.Values{"grant_type": {string(httpapi.TokenExchange)}, "subject_token": {token}, "subject_token_type": {kind}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return request{method: "POST", path: "/v1/auth/token", form: true, body: form.Encode()}
}

// withIssuer is a game whose players are known to an issuer, by the claim.
func withIssuer(t *testing.T, claim string) (*game, *oidcserver.Server) {
	s, err := oidcserver.Start()
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return newGame(t, gameOptions{reserved: []string{"test"}, issuers: config.Issuers{{Name: "store", Issuer: s.URL, Audience: oidcserver.Audience, UsernameClaim: claim}}}), s
}

func (g *game) idToken(s *oidcserver.Server) string {
	token, err := s.IDToken(g.t.Context(), oidcserver.Audience)
	require.NoError(g.t, err)
	return token
}

// A player whom an issuer knows logs in with its token, and is the same player each time.
func TestPlayersElsewhere(t *testing.T) {
	g, s := withIssuer(t, "preferred_username")
	var token httpapi.Token
	g.do(exchange(g.idToken(s), string(httpapi.TypeIDToken), "scope", "offline_access")).into(200, &token)
	require.Equal(t, oidcserver.UserName, token.Username)
	require.Equal(t, "urn:ietf:params:oauth:token-type:access_token", *token.IssuedTokenType)
	id := g.submit(token.AccessToken, "", 7).UserID
	g.refreshed(*token.RefreshToken)
	require.NotContains(t, g.dump("player_identities"), oidcserver.User, "what the issuer calls the player is hashed")

	var account httpapi.Account
	g.do(rename(token.AccessToken, "ada")).into(200, &account)
	token = httpapi.Token{}
	g.do(exchange(g.idToken(s), string(httpapi.TypeIDToken))).into(200, &token)
	require.Equal(t, "ada", token.Username)
	require.Nil(t, token.RefreshToken)
	require.Equal(t, id, g.submit(token.AccessToken, "", 8).UserID)

	// Linked to one account, it is refused for another; the other way round as well.
	_, grace := g.player("grace")
	g.do(linking(grace, "id_token", g.idToken(s))).problem(409, "login-conflict")
	var logins httpapi.PlayerLogins
	g.do(linking(token.AccessToken, "id_token", g.idToken(s))).into(200, &logins)
	require.Equal(t, s.URL, *logins.Identities[0].Issuer)
	require.Equal(t, httpapi.Issuer, logins.Identities[0].Kind)
	g.do(linking(grace, "id_token", "x")).problem(422, "invalid-request", "id_token")
	g.sql("UPDATE players SET state = 'disabled' WHERE username = 'ada'")
	require.Equal(t, 400, g.do(exchange(g.idToken(s), string(httpapi.TypeIDToken))).status)
}

// A name that the rules refuse, or that is taken, is not taken over; the player gets another.
func TestNamesFromElsewhere(t *testing.T) {
	for name, claim := range map[string]string{"taken": "preferred_username", "refused": "name", "reserved": "given_name", "none": "x", "no text": "auth_time"} {
		t.Run(name, func(t *testing.T) {
			g, s := withIssuer(t, claim)
			g.player(oidcserver.UserName)
			var token httpapi.Token
			g.do(exchange(g.idToken(s), string(httpapi.TypeIDToken))).into(200, &token)
			require.Regexp(t, `^player-[a-z2-7]{16}$`, token.Username)
		})
	}
}

// What is no exchange, or of no use, is refused as RFC 6749 has it; an issuer that is down
// keeps nobody else out.
func TestExchangesThatFail(t *testing.T) {
	g, s := withIssuer(t, "preferred_username")
	g.player("ada")
	refused := func(what string, status int, code string, r request) {
		t.Helper()
		answer := g.do(r)
		require.Equal(t, status, answer.status, "%s", answer.body)
		require.Contains(t, string(answer.body), `"error":"`+code+`"`)
		attack.Refused(t, "a token to exchange, "+what, code)
	}
	good := g.idToken(s)
	down := oidcserver.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	s.SetFault(down)
	refused("while the issuer is down", 503, "temporarily_unavailable", exchange(good, string(httpapi.TypeIDToken)))
	g.login("ada", password).into(200, &httpapi.Token{})
	_, other := g.guest()
	require.Equal(t, 503, g.do(linking(other.AccessToken, "id_token", good)).status)

	refused("empty", 400, "invalid_request", exchange("", string(httpapi.TypeIDToken)))
	refused("of another type", 400, "invalid_request", exchange(good, "urn:ietf:params:oauth:token-type:saml2"))
	refused("without a type", 400, "invalid_request", exchange(good, ""))
	refused("for an ID token", 400, "invalid_request", exchange(good, string(httpapi.TypeIDToken), "requested_token_type", "urn:ietf:params:oauth:token-type:id_token"))
	refused("for somebody else to act", 400, "invalid_request", exchange(good, string(httpapi.TypeIDToken), "actor_token", "x"))
	for what, token := range map[string]string{"no token": "x", "the game's own token": other.AccessToken, "20,000 characters": strings.Repeat("A", 20_000)} {
		refused(what+" as an ID token", 400, "invalid_request", exchange(token, string(httpapi.TypeIDToken)))
		refused(what+" as a JWT", 400, "invalid_request", exchange(token, string(httpapi.TypeJWT)))
	}
	require.Equal(t, 1, g.count("player_identities"), "the guest's alone")
}
