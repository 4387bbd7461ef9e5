package names

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
	"golang.org/x/text/cases"
	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Punctuation are the signs that a username may have.
const Punctuation = "_-."

// Bounds of usernames.
const (
	// MinLength is the shortest username, in grapheme clusters, and MinSyllabic that of
	// scripts whose characters are words or syllables.
	MinLength   = 3
	MinSyllabic = 2
	// MaxLength is the longest username, in grapheme clusters.
	MaxLength = 32
	// MaxBytes is the longest username, in bytes of UTF-8.
	MaxBytes = 128

	// maxRaw bounds, in bytes, what is normalised at all: decomposed, a name has at most
	// three times the bytes, and nobody needs more room than that.
	maxRaw = 4 * MaxBytes
)

// The profiles of RFC 8265, UsernameCasePreserved and UsernameCaseMapped, without the bidi
// rule, which the profiles of golang.org/x/text apply to names without right-to-left letters,
// too.
var (
	casePreserved = precis.NewIdentifier(precis.FoldWidth, precis.Norm(norm.NFC))
	caseMapped    = precis.NewIdentifier(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))
)

// decomposed are the vowels of Thai and Lao that Unicode takes for another way to write two
// characters, which PRECIS refuses. Words need them, so they become the two (NFKC).
var decomposed = strings.NewReplacer("\u0e33", "\u0e4d\u0e32", "\u0eb3", "\u0ecd\u0eb2")

// Rules are the rules of a game. They are safe for concurrent use.
type Rules struct {
	// reserved are the names by what they are compared by.
	reserved map[string]bool
}

var _ leaderboard.Usernames = (*Rules)(nil)

// New makes the rules of a game with these reserved names. A username that looks like one of
// them is refused: one with the same skeleton, where also 0 is like o, 1 and i like l, and rn
// like m, and signs do not count.
func New(reserved []string) *Rules {
	r := &Rules{reserved: make(map[string]bool, len(reserved))}
	for _, name := range reserved {
		r.reserved[likeness(normalize(name))] = true
	}
	return r
}

// Check implements [leaderboard.Usernames].
func (r *Rules) Check(raw string) (leaderboard.Username, error) {
	if len(raw) > maxRaw {
		return leaderboard.Username{}, refuse("it has %d bytes: it may have %d to %d characters, and at most %d bytes", len(raw), MinLength, MaxLength, MaxBytes)
	}
	if !utf8.ValidString(raw) {
		return leaderboard.Username{}, refuse("it is not valid UTF-8")
	}

	text := normalize(raw)
	for _, check := range []func(string) error{checkCharacters, checkMarks, checkDigits, checkJoiners, checkScripts, checkDirection, checkLength} {
		if err := check(text); err != nil {
			return leaderboard.Username{}, err
		}
	}
	if r.reserved[likeness(text)] {
		return leaderboard.Username{}, refuse("it is reserved in this game, or looks like a name that is: choose another")
	}

	key, ok := Key(text)
	if !ok {
		return leaderboard.Username{}, refuse("it has no form in lower case: choose another")
	}
	return leaderboard.Username{Text: text, Key: key, Skeleton: Skeleton(text)}, nil
}

// Key implements [leaderboard.Usernames].
func (*Rules) Key(raw string) (string, bool) { return Key(raw) }

// Key is the same for all usernames that differ only in case, width or Unicode normalisation.
// It has one for every username of this version and of those before; false: no player has
// such a name.
func Key(raw string) (string, bool) {
	if raw == "" || len(raw) > maxRaw {
		return "", false
	}

	key, err := caseMapped.String(decomposed.Replace(raw))
	if err != nil {
		return "", false
	}

	// The profile maps to lower case, where a final sigma and others keep variants; folding
	// leaves one form of each letter.
	return norm.NFC.String(cases.Fold().String(key)), true
}

// normalize is the form in which usernames are checked, stored and shown.
func normalize(raw string) string {
	return norm.NFC.String(width.Fold.String(decomposed.Replace(raw)))
}

// refuse is the error for a username; the message begins with what is wrong.
func refuse(format string, args ...any) error {
	return leaderboard.Errorf(leaderboard.CodeInvalid, "username", "username cannot be used: "+format, args...)
}

// checkDirection applies the bidi rule where there are right-to-left letters or digits.
func checkDirection(text string) error {
	for _, r := range text {
		p, _ := bidi.LookupRune(r)
		if c := p.Class(); c != bidi.R && c != bidi.AL && c != bidi.AN {
			continue
		}
		if !bidirule.ValidString(text) {
			return refuse("%s is written from right to left: a name with such characters begins with a letter, has letters of that direction only, and ends with a letter or digit", show(r))
		}
		return nil
	}
	return nil
}

func checkLength(text string) error {
	length, least := 0, MinLength
	for clusters := graphemes.FromString(text); clusters.Next(); {
		length++
	}
	if syllabic(text) {
		least = MinSyllabic
	}

	switch {
	case length < least:
		return refuse("it has %s: it must have %d to %d (in Chinese, Japanese, Korean and syllabic scripts %d to %d)",
			characters(length), MinLength, MaxLength, MinSyllabic, MaxLength)
	case length > MaxLength:
		return refuse("it has %s: it must have %d to %d", characters(length), MinLength, MaxLength)
	case len(text) > MaxBytes:
		return refuse("it has %d bytes in UTF-8: it must have at most %d, so use fewer characters or marks", len(text), MaxBytes)
	}
	return nil
}

func characters(n int) string {
	if n == 1 {
		return "1 character"
	}
	return strconv.Itoa(n) + " characters"
}
