package leaderboard

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of accounts.
const (
	// MinUsername is the shortest username, in characters.
	MinUsername = 3
	// MaxUsername is the longest username, in characters.
	MaxUsername = 32
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
	// UsernameKey is what is unique: the username's canonical form.
	UsernameKey string
	// PasswordHash is as [Passwords] made it.
	PasswordHash string
	// TokenVersion is in every token; raising it withdraws all earlier tokens
	// for submissions.
	TokenVersion int32
	State        PlayerState
	CreatedAt    time.Time
}

// PlayerName is the part of a player that never changes and may be cached.
type PlayerName struct {
	Number   int64
	ID       PlayerID
	Username string
}

// NormalizeUsername turns what a user typed into the username to keep and show
// (Unicode NFKC) and the key that must be unique (case folded). It reports
// ok = false for text that has no such form. It is injected, as the tables it
// needs are not in the standard library.
type NormalizeUsername func(raw string) (username, key string, ok bool)

// checkUsername applies the rules that follow normalisation.
func checkUsername(username string) error {
	length := utf8.RuneCountInString(username)
	if !utf8.ValidString(username) || length < MinUsername || length > MaxUsername {
		return invalid("username", "username must have %d to %d characters", MinUsername, MaxUsername)
	}

	for _, r := range username {
		if !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !strings.ContainsRune("_-.", r) {
			return invalid("username", "username may contain letters, digits, and the characters _ - . only")
		}
	}

	return nil
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
