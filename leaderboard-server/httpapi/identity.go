package httpapi

import (
	"net/http"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// authenticate finds the identity in the request's token, that of a player who is not banned or
// of a service account.
func (a *API) authenticate(r *http.Request) (auth.Identity, error) {
	identity, err := a.bearer(r)
	if err == nil && identity.Account == "" && a.Banned(r.Context(), identity.Player) {
		err = newProblem(kindUnauthenticated, "the access token is of a player whose account is disabled")
	}
	return identity, err
}

// bearer finds the identity in the request's token, whether its player is banned or not.
func (a *API) bearer(r *http.Request) (auth.Identity, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return auth.Identity{}, newProblem(kindUnauthenticated, "send the header Authorization: Bearer with an access token from /v1/auth/token")
	}

	token := bearer(values[0])
	if len(values) > 1 || token == "" {
		return auth.Identity{}, newProblem(kindUnauthenticated, "the header Authorization must be there once, as: Bearer, a space, and an access token")
	}

	info := requestInfo(r)
	info.token = true
	identity, err := a.Tokens.Verify(token)
	if err != nil {
		return auth.Identity{}, err
	}

	info.player, info.account = string(identity.Player), identity.Account
	return identity, nil
}

// bearer is the token in a header Authorization; empty: it has none.
func bearer(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// player finds the player whose token the request has. That of a service account is of
// none.
func (a *API) player(r *http.Request) (auth.Identity, error) {
	identity, err := a.authenticate(r)
	return ofPlayer(identity, err)
}

// ofPlayer refuses the token of a service account.
func ofPlayer(identity auth.Identity, err error) (auth.Identity, error) {
	if err == nil && identity.Account != "" {
		err = newProblem(kindNotAPlayer, "this is about the player whose token is sent, and this token is that of the service account "+identity.Account+
			": name a player by user_id where the call takes one, or send a player's token")
	}
	return identity, err
}

// viewer is the player whose token a request brings that needs none; empty: it brings no good one.
func (a *API) viewer(r *http.Request) leaderboard.PlayerID {
	identity, err := a.authenticate(r)
	if err != nil {
		return ""
	}
	return identity.Player
}

// holder finds whose token the request has: a player's, or that of a service account
// which has the scope.
func (a *API) holder(r *http.Request, scope accounts.Scope) (auth.Identity, error) {
	identity, err := a.authenticate(r)
	return withScope(identity, scope, err)
}

// holderToSubmit finds whose token a score comes with. That a player is not banned is for the
// transaction to see.
func (a *API) holderToSubmit(r *http.Request) (auth.Identity, error) {
	identity, err := a.bearer(r)
	return withScope(identity, accounts.Submit, err)
}

// server finds the service account whose token the request has, with one of the scopes. No
// player is let in.
func (a *API) server(r *http.Request, scopes ...accounts.Scope) (auth.Identity, error) {
	identity, err := a.authenticate(r)
	if err != nil {
		return identity, err
	}
	for _, scope := range scopes {
		if identity.Account != "" && identity.Scopes.Has(scope) {
			return identity, nil
		}
	}

	names := make([]string, len(scopes))
	for i, scope := range scopes {
		names[i] = string(scope)
	}
	p := newProblem(kindInsufficientScope, "this is for servers of the game, and takes the token of a service account with the scope "+strings.Join(names, " or "))
	p.scope = scopes[0]
	return identity, p
}

// withScope refuses the token of a service account that does not have the scope.
func withScope(identity auth.Identity, scope accounts.Scope, err error) (auth.Identity, error) {
	if err == nil && identity.Account != "" && !identity.Scopes.Has(scope) {
		p := newProblem(kindInsufficientScope, "this takes a token with the scope "+string(scope)+", and this one of the service account "+identity.Account+
			" does not have it: ask for it when you log in, or add it to the account")
		p.scope = scope
		err = p
	}
	return identity, err
}

// bucket is what the requests of whose token it is are counted under. No player's id has
// a space.
func bucket(identity auth.Identity) string {
	if identity.Account != "" {
		return "account " + identity.Account
	}
	return string(identity.Player)
}
