package auth

import (
	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// maxRawUsername bounds, in bytes, what is normalised at all: 32 characters of
// at most 4 bytes, each in up to 4 parts before they are composed.
const maxRawUsername = 32 * 4 * 4

// NormalizeUsername applies the PRECIS username profiles (RFC 8265): username
// keeps the case, key is the same for all usernames that differ by case, width
// or Unicode normalisation only. It is a [leaderboard.NormalizeUsername].
func NormalizeUsername(raw string) (username, key string, ok bool) {
	if raw == "" || len(raw) > maxRawUsername {
		return raw, "", true // the rule about lengths refuses it and says why
	}

	username, err := precis.UsernameCasePreserved.String(raw)
	if err != nil {
		return "", "", false
	}

	key, err = precis.UsernameCaseMapped.String(raw)
	if err != nil {
		return "", "", false
	}

	// The profile maps to lower case, where a final sigma and others keep
	// variants; folding leaves one form of each letter.
	return username, norm.NFC.String(cases.Fold().String(key)), true
}
