package httpapi

import (
	"context"
	"net/http"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/names"
)

// loginAttempt is a login whose failure counts against some rates. Of a player's they are
// two: that of its username from its client, and, looser, that of its username from all
// clients. So one client that knows a username cannot keep its player out. Of a service
// account's it is that of the account from its client alone: nobody guesses 256 bits, and
// nobody can keep the game's servers out.
//
// An attempt is counted before its password is verified, or many at once would all
// find room, and given back unless the password turns out to be wrong.
type loginAttempt struct {
	limits []loginLimit
}

// loginLimit is one rate that an attempt counts against.
type loginLimit struct {
	what, who string
	rate      config.Rate
}

// playerLimits are those of a player's login.
func (a *API) playerLimits(r *http.Request, username string) []loginLimit {
	who := canonicalUsername(username)
	return []loginLimit{
		// This one first: a client that is over it uses up nothing of the other.
		{"login-username-client", clientBucket(a.client(r)) + " " + who, a.Auth.LoginRatePerUsernameAndClient},
		{"login-username", who, a.Auth.LoginRatePerUsername},
	}
}

// accountLimits are those of a service account's login.
func (a *API) accountLimits(r *http.Request, account string) []loginLimit {
	return []loginLimit{{"login-account-client", clientBucket(a.client(r)) + " " + account, a.Auth.LoginRatePerUsernameAndClient}}
}

// beginLogin counts an attempt, or refuses it as over a rate.
func (a *API) beginLogin(r *http.Request, limits []loginLimit) (*loginAttempt, error) {
	attempt := &loginAttempt{}
	for _, l := range limits {
		if err := a.limit(r, l.what, l.who, l.rate); err != nil {
			a.endLogin(r, attempt, err)
			return nil, err
		}
		attempt.limits = append(attempt.limits, l)
	}

	return attempt, nil
}

// endLogin gives the attempt back unless it failed for its password.
func (a *API) endLogin(r *http.Request, attempt *loginAttempt, err error) {
	if code := leaderboard.CodeOf(err); code == leaderboard.CodeUnauthenticated || code == leaderboard.CodeWrongPassword {
		return
	}

	ctx := context.WithoutCancel(r.Context()) // a client that leaves has not failed
	for _, l := range attempt.limits {
		a.Limiter.Return(ctx, l.what, l.who, l.rate)
	}
}

// canonicalUsername is what attempts for a username are counted under: spelling it
// differently gives no further ones.
func canonicalUsername(username string) string {
	if key, ok := names.Key(username); ok {
		return key
	}
	return username
}
