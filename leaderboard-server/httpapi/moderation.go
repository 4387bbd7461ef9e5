package httpapi

import (
	"net/http"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// moderator finds the service account with the scope moderate whose token the request has.
func (a *API) moderator(r *http.Request) (auth.Identity, error) {
	identity, err := a.holder(r, accounts.Moderate)
	if err == nil && identity.Account == "" {
		err = newProblem(kindForbidden, "this is for servers of the game: send the token of a service account with the scope "+string(accounts.Moderate))
	}
	return identity, err
}

// moderated finds the player that a moderator names in the path. The request has no parameters.
func (a *API) moderated(r *http.Request) (leaderboard.PlayerID, error) {
	if _, err := a.moderator(r); err != nil {
		return "", err
	}
	if err := readQuery(r).finish(); err != nil {
		return "", err
	}
	name, err := pathParameter(r, "player")
	if err != nil {
		return "", err
	}
	return a.playerNamed(r, name)
}

// issueReset makes what resets a player's password. How it reaches the player is the game's
// business.
func (a *API) issueReset(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	player, err := a.moderated(r)
	if err != nil {
		return err
	}

	secret, hash := auth.NewSecret()
	if err := service.Logins.IssueReset(r.Context(), player, hash); err != nil {
		return err
	}
	answerSecret(w, http.StatusCreated, PasswordReset{ResetToken: secret, ExpiresIn: int64(leaderboard.ResetTTL.Seconds())})
	return nil
}

// pastNames answers which names a player had.
func (a *API) pastNames(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	id, err := a.moderated(r)
	if err != nil {
		return err
	}

	player, err := service.Player(r.Context(), id)
	if err != nil {
		return err
	}
	names, err := service.Logins.PastNames(r.Context(), id)
	if err != nil {
		return err
	}

	body := Usernames{UserID: string(player.ID), Username: player.Username, Before: make([]PastUsername, len(names))}
	for i, n := range names {
		body.Before[i] = PastUsername{Username: n.Username, Until: n.Until}
	}
	answer(w, http.StatusOK, body)
	return nil
}
