package httpapi_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/workloads"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
)

// A Pod exchanges the token of its ServiceAccount for one of the service account, whose scopes
// it has, and no others.
func TestPodsLogIn(t *testing.T) {
	g := newGame(t, gameOptions{})
	id, _ := g.player("ada")
	g.account("match-server", accounts.Submit)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Use: "sig", Algorithm: "RS256"}}})
	require.NoError(t, err)
	file := workloads.File{Issuer: "https://kubernetes.default.svc", Audience: "leaderboard", Keys: set,
		Mappings: []workloads.Mapping{{Namespace: "arcade", ServiceAccount: "match", Account: "match-server"}, {Namespace: "arcade", ServiceAccount: "gone", Account: "gone-server"}}}
	pod := func(name string) string {
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"iss": file.Issuer, "aud": []string{"leaderboard"}, "sub": "system:serviceaccount:arcade:" + name,
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()})
		token.Header["kid"] = "k"
		signed, err := token.SignedString(key)
		require.NoError(t, err)
		return signed
	}
	refused := func(what string, r request, code string) {
		t.Helper()
		answer := g.do(r)
		require.Equal(t, 400, answer.status)
		require.Contains(t, string(answer.body), `"error":"`+code+`"`)
		attack.Refused(t, "a Pod's token, "+what, code)
	}

	refused("while no Pods are known", exchange(pod("match"), string(httpapi.TypeJWT)), "invalid_request")
	require.NoError(t, g.tokens.SetWorkloads(file))
	var token httpapi.Token
	g.do(exchange(pod("match"), string(httpapi.TypeJWT))).into(200, &token)
	require.Equal(t, "match-server", token.Username)
	require.Equal(t, "submit", *token.Scope)
	require.Equal(t, int64(600), token.ExpiresIn)
	require.Equal(t, "urn:ietf:params:oauth:token-type:access_token", *token.IssuedTokenType)
	require.Nil(t, token.RefreshToken)
	submit := request{method: "POST", path: "/v1/scores/submit", token: token.AccessToken, body: submissionOf(id, "", 5)}
	require.Equal(t, 200, g.do(submit).status)

	refused("for a scope that its account lacks", exchange(pod("match"), string(httpapi.TypeJWT), "scope", "admin"), "invalid_scope")
	refused("as an ID token", exchange(pod("match"), string(httpapi.TypeIDToken)), "invalid_request")
	refused("of a ServiceAccount that is not listed", exchange(pod("other"), string(httpapi.TypeJWT)), "invalid_request")
	refused("for an account that is gone", exchange(pod("gone"), string(httpapi.TypeJWT)), "invalid_request")

	// It follows what its account may do, and what it is.
	g.accounts[0].Scopes = accounts.Scopes{accounts.Read}
	g.tokens.SetAccounts(g.accounts)
	g.do(submit).problem(403, "insufficient-scope")
	g.accounts[0].Scopes = accounts.Scopes{accounts.Submit}
	g.tokens.SetAccounts(g.accounts)
	require.Equal(t, 200, g.do(submit).status)
	file.Mappings[0].Account = "gone-server"
	require.NoError(t, g.tokens.SetWorkloads(file))
	g.do(submit).problem(401, "unauthenticated")
}
