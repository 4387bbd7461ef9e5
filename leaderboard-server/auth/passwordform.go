package auth

import (
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// maxTypedPassword bounds, in bytes, what is normalized at all: composing
// characters makes text shorter, by less than this factor.
const maxTypedPassword = 4 * leaderboard.MaxPassword

// newPassword returns the form of a new password to hash, or why it is refused.
func newPassword(typed string) (string, error) {
	if len(typed) > maxTypedPassword || !utf8.ValidString(typed) {
		return "", leaderboard.CheckPassword(typed)
	}

	normalized, err := precis.OpaqueString.String(typed)
	if err != nil {
		if refused := leaderboard.CheckPassword(typed); refused != nil {
			return "", refused // too short, for example: easier to act upon
		}
		return "", leaderboard.Errorf(leaderboard.CodeInvalid, "password",
			"password has a character that passwords cannot have, such as a control character or an invisible one: leave it out").WithCause(err)
	}

	return normalized, leaderboard.CheckPassword(normalized)
}

// passwordForms returns what a typed password may have been hashed as: its
// normalized form, and, where that is different, the bytes that were typed. None:
// no account has such a password.
func passwordForms(typed string) []string {
	if len(typed) > maxTypedPassword {
		return nil
	}

	var forms []string
	normalized, err := precis.OpaqueString.String(typed)
	valid := err == nil && utf8.ValidString(typed) // the profile replaces what is not UTF-8
	if valid && len(normalized) <= leaderboard.MaxPassword {
		forms = append(forms, normalized)
	}
	if (!valid || normalized != typed) && len(typed) <= leaderboard.MaxPassword && !repeats(typed) {
		forms = append(forms, typed)
	}

	return forms
}

// repeats says that bcrypt takes the password for a shorter one. It puts a NUL
// behind a password and repeats that to fill its key, so that "secret" and
// "secret\x00secret" have one key.
func repeats(password string) bool {
	key := bcryptKey(password)
	for i := range len(password) {
		if password[i] == 0 && bcryptKey(password[:i]) == key {
			return true
		}
	}
	return false
}

// bcryptKey is what bcrypt makes of a password.
func bcryptKey(password string) (key [leaderboard.MaxPassword]byte) {
	for i := range key {
		if at := i % (len(password) + 1); at < len(password) {
			key[i] = password[at]
		}
	}
	return key
}
