package httpapi

import (
	"net/http"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// issueReset makes what resets a player's password. How it reaches the player is the game's
// business.
func (a *API) issueReset(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.server(r, accounts.Moderate)
	if err != nil {
		return err
	}
	m, err := aboutPlayer(r, identity, leaderboard.ResetPassword)
	if err != nil {
		return err
	}

	secret, hash := auth.NewSecret()
	record, err := service.IssueReset(r.Context(), m, hash)
	if err != nil {
		return err
	}
	a.logRecord(r, record)
	answerSecret(w, http.StatusCreated, PasswordReset{ResetToken: secret, ExpiresIn: int64(leaderboard.ResetTTL.Seconds())})
	return nil
}

// pastNames answers which names a player had.
func (a *API) pastNames(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	if _, err := a.server(r, accounts.Moderate); err != nil {
		return err
	}
	if err := readQuery(r).finish(); err != nil {
		return err
	}
	id, err := playerInPath(r)
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

	answer(w, http.StatusOK, Usernames{UserID: string(player.ID), Username: player.Username, Before: pastUsernames(names)})
	return nil
}

func pastUsernames(names []leaderboard.PastName) []PastUsername {
	before := make([]PastUsername, len(names))
	for i, n := range names {
		before[i] = PastUsername{Username: n.Username, Until: n.Until}
	}
	return before
}
