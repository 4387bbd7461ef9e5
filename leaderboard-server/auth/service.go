package auth

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// ServiceTokenTTL is how long the token of a service account is good for. A server can
// always get another one, so it is short.
const ServiceTokenTTL = 10 * time.Minute

// The types of tokens ("typ" of their header). Either has an audience and claims of its
// own, so that none passes for one of the other, here or in a server of a version that
// knows players' tokens only.
const (
	typePlayer = "JWT"
	// typeService is that of RFC 9068.
	typeService = "at+jwt"
)

// audience is that of tokens of a type. No tenant's name has a slash.
func (t *Tokens) audience(typ string) string {
	if typ == typeService {
		return t.tenant + "/services"
	}
	return t.tenant
}

// SetAccounts replaces the service accounts. From now on tokens are refused of an account
// that is no longer among them, or of a secret that it no longer has, and others can do no
// more than the account may.
func (t *Tokens) SetAccounts(set accounts.Set) { t.accounts.Store(&set) }

// AuthenticateAccount finds the service account with this name and secret, and what is
// known of the secret, or is CodeUnauthenticated.
func (t *Tokens) AuthenticateAccount(name, secret string) (accounts.Account, accounts.Secret, error) {
	account, _ := t.accounts.Load().Lookup(name)
	match, ok := account.Match(secret, t.now())
	if !ok {
		return accounts.Account{}, accounts.Secret{}, leaderboard.Errorf(leaderboard.CodeUnauthenticated, "", "client_id or client_secret is wrong")
	}
	return account, match, nil
}

// IssueService signs a token for the service account, which has shown the secret, that may
// do what the scopes say.
func (t *Tokens) IssueService(account string, secret accounts.Secret, scopes accounts.Scopes) (string, error) {
	return t.sign(typeService, ServiceTokenTTL, claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: account, ID: rand.Text()},
		ClientID:         account,
		Scope:            scopes.String(),
		SecretID:         secret.ID(),
	})
}

// identity is what the claims of a token say whose signature and times are right.
func (t *Tokens) identity(typ string, c claims) (Identity, error) {
	if !slices.Equal(c.Audience, jwt.ClaimStrings{t.audience(typ)}) {
		return Identity{}, refused("is for another game")
	}

	switch typ {
	case typePlayer:
		id, err := uuid.Parse(c.Subject)
		if err != nil || id.String() != c.Subject || c.ClientID != "" || c.Scope != "" || c.SecretID != "" || c.Workload != "" {
			return Identity{}, refused("is not one of this server")
		}
		return Identity{Player: leaderboard.PlayerID(c.Subject), Username: c.Username, TokenVersion: c.Version, Login: leaderboard.LoginID(c.Login)}, nil

	case typeService:
		scopes, ok := accounts.ParseScopes(c.Scope)
		if !ok || c.ClientID == "" || c.ClientID != c.Subject || c.Username != "" || c.Version != 0 || c.Login != "" || c.SecretID != "" && c.Workload != "" {
			return Identity{}, refused("is not one of this server")
		}
		return Identity{Account: c.ClientID, Secret: c.SecretID, Workload: c.Workload, Scopes: scopes}, nil
	}

	return Identity{}, refused("is not one of this server")
}

// current holds the identity to what the service accounts, and players' logins, are now.
func (t *Tokens) current(identity Identity) (Identity, error) {
	if identity.Account == "" {
		return t.withdrawals.check(identity)
	}

	account, found := t.accounts.Load().Lookup(identity.Account)
	if !found {
		return Identity{}, refused("is of a service account that is no longer there")
	}
	switch {
	case identity.Workload != "" && !t.isWorkload(identity.Workload, identity.Account):
		return Identity{}, refused("was got as a ServiceAccount that no longer is this service account")
	case identity.Workload == "" && !account.HasSecret(identity.Secret, t.now()):
		return Identity{}, refused("was got with a secret that the service account no longer has")
	}
	identity.Scopes = identity.Scopes.In(account.Scopes)
	return identity, nil
}
