package leaderboard

import (
	"time"
	"unicode/utf8"
)

// Limits of accounts.
const (
	// MinPassword is the shortest password, in bytes.
	MinPassword = 8
	// MaxPassword is the longest password, in bytes: bcrypt reads no more.
	MaxPassword = 72
)

// PlayerID is a player's public id: a UUID (version 7) in its lower-case
// canonical form.
type PlayerID string

// PlayerState says what a player may do.
type PlayerState string

// The states of a player.
const (
	// PlayerActive may log in and submit.
	PlayerActive PlayerState = "active"
	// PlayerDisabled may do neither; entries stay.
	PlayerDisabled PlayerState = "disabled"
)

// Player is an account.
type Player struct {
	// Number identifies the player inside the server: compact, never public.
	Number int64
	ID     PlayerID
	// Username is what the player chose, normalised, in the player's own case.
	Username string
	// UsernameKey is the username's [Username.Key].
	UsernameKey string
	// Skeleton is the username's [Username.Skeleton], of a player who is being created: it
	// is not read.
	Skeleton string
	// PasswordHash is as [Passwords] made it.
	PasswordHash string
	// TokenVersion is in every token; raising it withdraws all earlier tokens
	// for submissions.
	TokenVersion int32
	State        PlayerState
	CreatedAt    time.Time
}

// PlayerName is the part of a player that may be cached: Username changes seldom, see
// [AccountChange], and the rest never.
type PlayerName struct {
	Number   int64
	ID       PlayerID
	Username string
	// OwnerID is the game's id of an owner that is no account, and OwnerName the name that is
	// shown; empty: it is a player. See [Owner].
	OwnerID, OwnerName string
}

// Username is a name that a player may have.
type Username struct {
	// Text is what the player chose, normalised, in the player's own case.
	Text string
	// Key is what is unique, and what a login looks for: the text's canonical form.
	Key string
	// Skeleton is the same for usernames that look alike. It is unique, too.
	Skeleton string
}

// Usernames says which usernames there may be. It is injected, as the tables it needs are not
// in the standard library.
type Usernames interface {
	// Check returns the username that a user typed; one that breaks a rule is CodeInvalid.
	Check(raw string) (Username, error)
	// Key returns the key of what a user typed; false: no player has such a name.
	Key(raw string) (key string, ok bool)
}

// CheckPassword refuses a new password that is too short, too long or not text.
// It is for the form that is hashed: see [Passwords].
func CheckPassword(password string) error {
	if len(password) < MinPassword || len(password) > MaxPassword {
		return invalid("password", "password must have %d to %d bytes in UTF-8, where a character outside ASCII takes 2 to 4", MinPassword, MaxPassword)
	}
	if !utf8.ValidString(password) {
		return invalid("password", "password must be valid UTF-8")
	}
	return nil
}
