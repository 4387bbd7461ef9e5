package leaderboard

import (
	"context"
	"crypto/sha256"
	"time"
)

// Bounds of logins.
const (
	// MaxLogins is how many logins of a player are kept; the next one takes the place of the
	// one that was refreshed the longest ago.
	MaxLogins = 20
	// RefreshGrace is for how long after a refresh token was used it is answered again, with
	// the same successor, for a client that the first answer has not reached. Amazon Cognito
	// and Okta allow 60 s at most.
	RefreshGrace = time.Minute
	// ResetTTL is how long what resets a password is good for.
	ResetTTL = time.Hour
)

// LoginID names a login of a player: a UUID in its canonical form. It is in the login's access
// tokens, so it is no secret.
type LoginID string

// SecretHash is the SHA-256 of a random secret.
type SecretHash [sha256.Size]byte

// Login is a player's login on one device that is kept: a family of refresh tokens, of which
// one is good at a time.
type Login struct {
	ID LoginID
	// Token is of the refresh token that is good.
	Token SecretHash
	// TTL is how long that is.
	TTL time.Duration
}

// Rotation asks for the successor of a refresh token.
type Rotation struct {
	Login LoginID
	// Presented is of the token that a client has sent, and Next of the one that Nonce makes
	// of it.
	Presented, Next SecretHash
	Nonce           []byte
	// TTL is how long the successor is good for.
	TTL time.Duration
}

// Caller is whose access token a request brings.
type Caller struct {
	Player PlayerID
	// TokenVersion is that of the token: one from before the present one is refused.
	TokenVersion int32
	// Login is empty in tokens of servers that knew of none.
	Login LoginID
}

// AccountChange is something of an account that every server has to hear of.
type AccountChange struct {
	Player PlayerID
	// Username is the player's new name; empty: it is the same.
	Username string
	// TokenVersion is the lowest that access tokens may have; 0: the same as before.
	TokenVersion int32
	// Login is one that has ended, whose access tokens are withdrawn; empty: none.
	Login LoginID
	// OwnerName is the new name of an owner, which Player is; empty: it is the same.
	OwnerName string
}

// PastName is a name that a player had.
type PastName struct {
	Username string
	// Until is when the player took the next one.
	Until time.Time
}

// Logins keeps logins, and changes what they are made with. Where there is a Caller, a token
// that is withdrawn is CodeUnauthenticated, and a disabled account CodeForbidden.
type Logins interface {
	// BeginLogin stores a login of a player that has just been authenticated. A player whose
	// tokens were withdrawn in the meantime is CodeUnauthenticated.
	BeginLogin(ctx context.Context, player Player, login Login) error
	// RefreshLogin stores the successor of a refresh token, and returns the player and the
	// nonce that makes the successor: the rotation's, or within RefreshGrace that of the first
	// time. A token that was used before ends the login. That, and a token that is not one, is
	// CodeUnauthenticated.
	RefreshLogin(ctx context.Context, rotation Rotation) (player Player, nonce []byte, err error)
	// EndLogin ends the caller's login, and EndLogins all of the player's, the access tokens
	// included.
	EndLogin(ctx context.Context, caller Caller) error
	EndLogins(ctx context.Context, caller Caller) (AccountChange, error)
	// ChangePassword replaces a hash, if it is still the old one, and ends all other logins. The
	// player comes back with the TokenVersion that tokens have from now on.
	ChangePassword(ctx context.Context, caller Caller, oldHash, newHash string) (Player, error)
	// Rename gives the player another name, if it has not had the present one for less than
	// every: that is CodeRateLimited. See [Players] for the names that are refused.
	Rename(ctx context.Context, caller Caller, name Username, every time.Duration) (AccountChange, error)
	// PastNames returns the names that a player had, the last one first.
	PastNames(ctx context.Context, player PlayerID) ([]PastName, error)
	// PasswordReset finds the player that a reset is for; CodeInvalid: there is none.
	PasswordReset(ctx context.Context, token SecretHash) (Player, error)
	// ResetPassword uses the reset up, sets the hash, and ends all logins; the player has no
	// other identities then.
	ResetPassword(ctx context.Context, token SecretHash, hash string) (AccountChange, error)
}

// StaleToken is the error for an access token that was withdrawn.
func StaleToken() *Error {
	return Errorf(CodeUnauthenticated, "", "the access token was withdrawn: log in again at /v1/auth/token")
}

// Disabled is the error for an account that may not do anything.
func Disabled() *Error { return Errorf(CodeForbidden, "", "this account is disabled") }

// ChangePassword gives a player that knows its password another one. The player is returned
// with what its tokens have from now on.
func (s *Service) ChangePassword(ctx context.Context, caller Caller, old, password string) (Player, error) {
	player, err := s.Players.PlayerByID(ctx, caller.Player)
	switch {
	case CodeOf(err) == CodeNoPlayer, err == nil && player.TokenVersion != caller.TokenVersion:
		return Player{}, StaleToken()
	case err != nil:
		return Player{}, err
	case player.State != PlayerActive:
		return Player{}, Disabled()
	}

	if err := s.requirePassword(ctx, player, "old_password", old); err != nil {
		return Player{}, err
	}

	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return Player{}, err
	}
	return s.Logins.ChangePassword(ctx, caller, player.PasswordHash, hash)
}

// requirePassword refuses a password that is not the player's; field is what the call names it.
func (s *Service) requirePassword(ctx context.Context, player Player, field, password string) error {
	match, _, err := s.Passwords.Verify(ctx, player.PasswordHash, password)
	if err == nil && !match {
		err = Errorf(CodeWrongPassword, field, "%s is not the password of this account", field)
	}
	return err
}

// Rename gives the player another name, at most once in every.
func (s *Service) Rename(ctx context.Context, caller Caller, username string, every time.Duration) (AccountChange, error) {
	name, err := s.Usernames.Check(username)
	if err != nil {
		return AccountChange{}, err
	}
	return s.Logins.Rename(ctx, caller, name, every)
}

// ResetPassword sets the password of the player that a reset was issued for.
func (s *Service) ResetPassword(ctx context.Context, token SecretHash, password string) (AccountChange, error) {
	// It is looked for before anything is hashed, which is dear.
	if _, err := s.Logins.PasswordReset(ctx, token); err != nil {
		return AccountChange{}, err
	}

	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return AccountChange{}, err
	}
	return s.Logins.ResetPassword(ctx, token, hash)
}
