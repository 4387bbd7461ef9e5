package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// scopeOfflineAccess asks for a refresh token, as in OpenID Connect Core, section 11.
const scopeOfflineAccess = "offline_access"

// asksToKeep says whether a player's login is to be kept. Other scopes mean nothing.
func asksToKeep(scope string) bool {
	return slices.Contains(strings.Fields(scope), scopeOfflineAccess)
}

// beginSession gives a player that was authenticated an access token and, where it is to be
// kept, a refresh token.
func (a *API) beginSession(r *http.Request, service *leaderboard.Service, player leaderboard.Player, keep bool) (Token, error) {
	requestInfo(r).player = string(player.ID)
	if !keep {
		return a.session(service, player, auth.NewLoginID(), nil)
	}

	token := auth.NewRefreshToken()
	login := leaderboard.Login{ID: token.Login(), Token: token.Hash(), TTL: a.Auth.RefreshTokenTTL}
	if err := service.Logins.BeginLogin(r.Context(), player, login); err != nil {
		return Token{}, err
	}
	return a.session(service, player, login.ID, &token)
}

// refresh gives a login the next pair of tokens.
func (a *API) refresh(r *http.Request, service *leaderboard.Service, text string) (Token, error) {
	presented, ok := auth.ParseRefreshToken(text)
	if !ok {
		return Token{}, leaderboard.Errorf(leaderboard.CodeUnauthenticated, "", "the refresh token is damaged, or not one of this game")
	}

	// Not with the client: a token that was used has a successor.
	ctx, cancel := withoutClient(r.Context())
	defer cancel()

	nonce := auth.NewNonce()
	player, nonce, err := service.Logins.RefreshLogin(ctx, leaderboard.Rotation{Login: presented.Login(), Presented: presented.Hash(),
		Next: presented.Next(nonce).Hash(), Nonce: nonce, TTL: a.Auth.RefreshTokenTTL})
	if err != nil {
		return Token{}, err
	}

	requestInfo(r).player = string(player.ID)
	next := presented.Next(nonce)
	return a.session(service, player, presented.Login(), &next)
}

// session is the answer with the tokens of a login, and the key that belongs to them.
func (a *API) session(service *leaderboard.Service, player leaderboard.Player, login leaderboard.LoginID, refresh *auth.RefreshToken) (Token, error) {
	access, err := a.Tokens.Issue(player, login)
	if err != nil {
		return Token{}, err
	}

	key, err := a.signingKey(service.Catalog(), access)
	if err != nil {
		return Token{}, err
	}

	token := Token{AccessToken: access, TokenType: Bearer, ExpiresIn: int64(a.Tokens.TTL().Seconds()), Username: player.Username, SigningKey: key}
	if refresh != nil {
		text, seconds, scope := refresh.String(), int64(a.Auth.RefreshTokenTTL.Seconds()), scopeOfflineAccess
		token.RefreshToken, token.RefreshExpiresIn, token.Scope = &text, &seconds, &scope
	}
	return token, nil
}

// caller finds the player whose token the request has, for a change of its account.
func (a *API) caller(r *http.Request) (leaderboard.Caller, error) {
	identity, err := a.player(r)
	return callerOf(identity), err
}

func callerOf(identity auth.Identity) leaderboard.Caller {
	return leaderboard.Caller{Player: identity.Player, TokenVersion: identity.TokenVersion, Login: identity.Login}
}

// logOut ends the login of the access token, or all logins of its player.
func (a *API) logOut(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	caller, err := a.caller(r)
	if err != nil {
		return err
	}
	if err := readQuery(r).finish(); err != nil {
		return err
	}
	b, err := readBody(r)
	if err != nil {
		return err
	}
	everywhere := b.boolean("everywhere")
	if err := b.finish(); err != nil {
		return err
	}

	change := leaderboard.AccountChange{Player: caller.Player, Login: caller.Login}
	switch {
	case everywhere:
		change, err = service.Logins.EndLogins(r.Context(), caller)
	case caller.Login == "":
		err = newProblem(kindUnauthenticated, "this access token is of a server of an earlier version and belongs to no login: it ends when it expires, or send \"everywhere\": true")
	default:
		err = service.Logins.EndLogin(r.Context(), caller)
	}
	if err != nil {
		return err
	}

	a.Tokens.Apply(change)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// changePassword takes another password from a player that knows the old one. All other logins
// end.
func (a *API) changePassword(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.player(r)
	if err != nil {
		return err
	}
	caller := callerOf(identity)
	if err := readQuery(r).finish(); err != nil {
		return err
	}
	b, err := readBody(r)
	if err != nil {
		return err
	}
	old, password := b.text("old_password", true), b.text("new_password", true)
	if err := b.finish(); err != nil {
		return err
	}

	// With a stolen token guesses at the password are as many as without.
	attempt, err := a.beginLogin(r, a.playerLimits(r, identity.Username))
	if err != nil {
		return err
	}
	player, err := service.ChangePassword(r.Context(), caller, old, password)
	a.endLogin(r, attempt, err)
	if err != nil {
		return fieldNamed(err, "password", "new_password")
	}

	a.Tokens.Apply(leaderboard.AccountChange{Player: player.ID, TokenVersion: player.TokenVersion})
	token, err := a.session(service, player, caller.Login, nil)
	if err != nil {
		return err
	}
	answerSecret(w, http.StatusOK, token)
	return nil
}

// resetPassword sets the password of the player for whom a reset was issued. All logins end.
func (a *API) resetPassword(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	if err := a.limit(r, "login-client", clientBucket(a.client(r)), a.Auth.LoginRatePerClient); err != nil {
		return err
	}
	if err := readQuery(r).finish(); err != nil {
		return err
	}
	b, err := readBody(r)
	if err != nil {
		return err
	}
	token, password := b.text("reset_token", true), b.text("new_password", true)
	if err := b.finish(); err != nil {
		return err
	}

	change, err := service.ResetPassword(r.Context(), auth.SecretHash(token), password)
	if err != nil {
		return fieldNamed(err, "password", "new_password")
	}
	requestInfo(r).player = string(change.Player)
	a.Tokens.Apply(change)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// rename gives the player another username.
func (a *API) rename(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	caller, err := a.caller(r)
	if err != nil {
		return err
	}
	if err := a.limit(r, "register-client", clientBucket(a.client(r)), a.Auth.RegisterRatePerClient); err != nil {
		return err
	}
	if err := readQuery(r).finish(); err != nil {
		return err
	}
	b, err := readBody(r)
	if err != nil {
		return err
	}
	username := b.text("username", true)
	if err := b.finish(); err != nil {
		return err
	}

	change, err := service.Rename(r.Context(), caller, username, a.Auth.RenameEvery)
	if leaderboard.CodeOf(err) == leaderboard.CodeRateLimited {
		p := toProblem(err)
		p.exceeded = &exceeded{name: "rename-player", rate: config.Rate{Events: 1, Per: a.Auth.RenameEvery, Burst: 1}}
		return p
	}
	if err != nil {
		return err
	}

	a.Tokens.Apply(change)
	answer(w, http.StatusOK, Account{UserID: string(change.Player), Username: change.Username})
	return nil
}
