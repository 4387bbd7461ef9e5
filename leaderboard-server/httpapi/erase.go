package httpapi

import (
	"net/http"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// eraseOwn erases the player whose token it is. Who was erased already, by the call that this one
// repeats, has no password any more: it is answered the same for as long as the token is good.
func (a *API) eraseOwn(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.bearer(r)
	if identity, err = ofPlayer(identity, err); err != nil {
		return err
	}
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
	password := b.text("password", false)
	if err := b.finish(); err != nil {
		return err
	}

	player, err := service.Player(r.Context(), identity.Player)
	if err == nil {
		err = a.eraseKnown(r, service, player, identity, password)
	}
	if err != nil && leaderboard.CodeOf(err) != leaderboard.CodeNoPlayer {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// eraseKnown erases a player who knows the password. With a stolen token guesses at it are as many
// as without.
func (a *API) eraseKnown(r *http.Request, service *leaderboard.Service, player leaderboard.Player, identity auth.Identity, password string) error {
	attempt, err := a.beginLogin(r, a.playerLimits(r, player.Username))
	if err != nil {
		return err
	}

	record, err := service.EraseOwn(r.Context(), callerOf(identity), player, password)
	a.endLogin(r, attempt, err)
	if err == nil {
		a.logRecord(r, record)
	}
	return err
}

// erasePlayer erases a player for an admin.
func (a *API) erasePlayer(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.server(r, accounts.Admin)
	if err != nil {
		return err
	}

	m, err := aboutPlayer(r, identity, leaderboard.Erase)
	if err != nil {
		return err
	}
	record, err := service.ErasePlayer(r.Context(), m)
	if err != nil {
		return err
	}
	a.answerRecord(w, r, record)
	return nil
}
