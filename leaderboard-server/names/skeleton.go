package names

import (
	"strings"
	"unicode"

	"go.mau.fi/util/confusable"
	"golang.org/x/text/unicode/norm"
)

// Skeleton is the same for usernames that look alike. It is that of UTS 39, section 4, in lower
// case, with these differences:
//
//   - ASCII letters and digits stand for themselves, so no two names of ASCII characters look
//     alike: UTS 39 takes 0 for O, 1 and I for l, and m for rn, and would have "modern" keep
//     "modem" away.
//   - Small capitals, and the Cyrillic letters that look like them, are the letters that they
//     are small ones of: "ВОТ" is like "BOT", and so is "вот", which games may show in capitals.
//
// It is for comparing, and not to be shown. It is stored: a version that makes other skeletons
// has to make those again that are stored (TestSkeletonsAreStored).
func Skeleton(username string) string {
	var s strings.Builder
	for _, r := range norm.NFD.String(username) {
		if !isJoiner(r) {
			s.WriteString(prototype(r))
		}
	}
	return norm.NFD.String(strings.Map(lower, norm.NFD.String(s.String())))
}

// prototype is what a character looks like.
func prototype(r rune) string {
	like := confusable.GetReplacement(r)
	switch {
	case r <= unicode.MaxASCII || like == "":
		return string(r)
	case like == "rn":
		return "m"
	case like == "l" && unicode.IsUpper(r):
		return "i" // a capital that looks like I, which UTS 39 takes for l
	}
	return like
}

// lower is the small letter of a letter.
func lower(r rune) rune {
	if small, ok := smallCapitals[r]; ok {
		return small
	}
	return unicode.ToLower(r)
}

// smallCapitals are letters in the form of a capital, or nearly so, which UTS 39 takes for
// letters of their own, and the dotless i.
var smallCapitals = map[rune]rune{
	'ᴀ': 'a', 'ʙ': 'b', 'ᴅ': 'd', 'ᴇ': 'e', 'ꜰ': 'f', 'ɢ': 'g', 'ʜ': 'h', 'ı': 'i', 'ᴊ': 'j', 'ĸ': 'k', 'ʟ': 'l', 'ʍ': 'm',
	'ɴ': 'n', 'ᴘ': 'p', 'ꞯ': 'q', 'ʀ': 'r', 'ᴛ': 't',
}

// likeness is what a username and a reserved name are compared by: stricter than the skeleton,
// as there are few of them.
func likeness(username string) string {
	skeleton := unlikely.Replace(Skeleton(username))
	if bare := withoutPunctuation.Replace(skeleton); bare != "" {
		return bare
	}
	return skeleton
}

var (
	// unlikely are the ASCII characters that UTS 39 takes for others.
	unlikely           = strings.NewReplacer("0", "o", "1", "l", "i", "l", "rn", "m")
	withoutPunctuation = strings.NewReplacer("_", "", "-", "", ".", "")
)
