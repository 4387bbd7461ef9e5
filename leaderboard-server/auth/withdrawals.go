package auth

import (
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// maxWithdrawals bounds what is remembered of accounts that have changed, of each kind, some
// 200 bytes each: beyond it what came first is forgotten, and an access token from before is
// good for reading until it expires.
const maxWithdrawals = 100_000

// withdrawals are what has changed since access tokens were issued that may be good.
type withdrawals struct {
	logins   *lru.Cache[leaderboard.LoginID, struct{}]
	versions *lru.Cache[leaderboard.PlayerID, int32]
	names    *lru.Cache[leaderboard.PlayerID, string]
}

func newWithdrawals() (w *withdrawals, err error) {
	w = &withdrawals{}
	if w.logins, err = lru.New[leaderboard.LoginID, struct{}](maxWithdrawals); err != nil {
		return nil, fmt.Errorf("make the list of logins that have ended: %w", err)
	}
	if w.versions, err = lru.New[leaderboard.PlayerID, int32](maxWithdrawals); err != nil {
		return nil, fmt.Errorf("make the list of versions of tokens: %w", err)
	}
	if w.names, err = lru.New[leaderboard.PlayerID, string](maxWithdrawals); err != nil {
		return nil, fmt.Errorf("make the list of new names: %w", err)
	}
	return w, nil
}

// Apply makes tokens from before the changes what they are after them.
func (t *Tokens) Apply(changes ...leaderboard.AccountChange) {
	for _, c := range changes {
		if c.Login != "" {
			t.withdrawals.logins.Add(c.Login, struct{}{})
		}
		if c.TokenVersion != 0 {
			t.withdrawals.versions.Add(c.Player, c.TokenVersion)
		}
		if c.Username != "" {
			t.withdrawals.names.Add(c.Player, c.Username)
		}
	}
}

// ForgetChanges is for a ledger with another history, in which nothing of what was applied
// may have happened.
func (t *Tokens) ForgetChanges() {
	t.withdrawals.logins.Purge()
	t.withdrawals.versions.Purge()
	t.withdrawals.names.Purge()
}

// check refuses the token of a login that has ended, and of a version that was withdrawn, and
// gives the identity the player's name of now.
func (w *withdrawals) check(identity Identity) (Identity, error) {
	if w.logins.Contains(identity.Login) {
		return Identity{}, refused("is of a login that has ended")
	}
	if least, ok := w.versions.Peek(identity.Player); ok && identity.TokenVersion < least {
		return Identity{}, refused("was withdrawn")
	}
	if name, ok := w.names.Peek(identity.Player); ok {
		identity.Username = name
	}
	return identity, nil
}
