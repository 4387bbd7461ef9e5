package names

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of the marks of one letter, as the canonical decomposition has them.
const (
	// MaxNonspacing bounds the marks that take no room of their own (UTS 39, 5.4).
	MaxNonspacing = 4
	// MaxMarks bounds all marks: words of Burmese and Tibetan have up to 6.
	MaxMarks = 8
)

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

const allowedText = "letters, digits, and _ - . are allowed"

// show is a character in a message: itself where that can be seen, and its code point.
func show(r rune) string {
	switch {
	case unicode.Is(unicode.M, r):
		return fmt.Sprintf("\u25cc%c (U+%04X)", r, r)
	case unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r):
		return fmt.Sprintf("%c (U+%04X)", r, r)
	}
	return fmt.Sprintf("U+%04X", r)
}

// isJoiner says whether a character is one of the two that are allowed in some places.
func isJoiner(r rune) bool { return r == zeroWidthNonJoiner || r == zeroWidthJoiner }

// checkCharacters refuses characters that no username has.
func checkCharacters(text string) error {
	for _, r := range text {
		if !isJoiner(r) && !usable(r) {
			return refuse("%s", unusable(r))
		}
	}
	return nil
}

// checkJoiners refuses joiners where no word needs them. They are what PRECIS has rules of
// context for, digits apart.
func checkJoiners(text string) error {
	i := strings.IndexFunc(text, isJoiner)
	if i < 0 || inClass(text) {
		return nil
	}
	r, _ := utf8.DecodeRuneInString(text[i:])
	return refuse("it has an invisible joiner (U+%04X), which is allowed only where a word needs it to be written, as in Persian and Hindi", r)
}

// usable says whether a username may have a character, joiners apart.
func usable(r rune) bool {
	if strings.ContainsRune(Punctuation, r) {
		return true
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd) && inClass(string(r)) && len(scriptsOf(r)) > 0
}

// inClass says whether PRECIS allows a text as an identifier.
func inClass(text string) bool {
	_, err := casePreserved.String(text)
	return err == nil
}

// unusable says why a character cannot be used.
func unusable(r rune) string {
	shown, code := show(r), fmt.Sprintf("(U+%04X)", r)
	kind := "the character " + shown
	switch {
	case unicode.IsSpace(r):
		kind = "a space " + code
	case unicode.Is(unicode.Cc, r):
		kind = "a control character " + code
	case unicode.Is(unicode.Bidi_Control, r):
		kind = "an invisible character that changes the direction of text " + code
	case unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
		kind = "an invisible character " + code
	case !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z):
		kind = "a character that Unicode does not define " + code
	case unicode.In(r, unicode.So, unicode.Sk):
		kind = "the emoji or symbol " + shown
	case unicode.In(r, unicode.L, unicode.M, unicode.Nd) && inClass(string(r)):
		return fmt.Sprintf("the letter %s is of a script that is not in use today (%s): %s", shown, scriptName(r), allowedText)
	}

	// What is another way to write characters that are allowed, such as a ligature.
	other := norm.NFKC.String(string(r))
	if unicode.IsSpace(r) || other == string(r) || strings.ContainsFunc(other, func(r rune) bool { return !usable(r) }) {
		return "it has " + kind + ": " + allowedText
	}
	if len([]rune(other)) > 1 && unicode.IsLetter(r) {
		kind = "the ligature " + shown
	}
	return fmt.Sprintf("it has %s: write %s", kind, other)
}

// checkMarks bounds the marks of each letter.
func checkMarks(text string) error {
	var last rune
	onLetter, nonspacing, marks := false, 0, 0
	for _, r := range norm.NFD.String(text) {
		switch {
		case isJoiner(r):
			continue
		case !unicode.Is(unicode.M, r):
			onLetter, nonspacing, marks = unicode.IsLetter(r), 0, 0
		case !onLetter:
			return refuse("the mark %s does not stand on a letter: put it after one, or leave it out", show(r))
		default:
			marks++
			if unicode.Is(unicode.Mn, r) {
				nonspacing++
			}
			if last == r {
				return refuse("a letter has the mark %s twice in a row: leave one out", show(r))
			}
			if nonspacing > MaxNonspacing || marks > MaxMarks {
				return refuse("too many marks are on one letter, such as %s: there may be %d, and %d with those that take room of their own", show(r), MaxNonspacing, MaxMarks)
			}
		}
		last = r
	}
	return nil
}

// checkDigits refuses digits of several systems.
func checkDigits(text string) error {
	var first rune
	for _, r := range text {
		switch {
		case !unicode.Is(unicode.Nd, r):
		case first == 0:
			first = r
		case zero(r) != zero(first):
			return refuse("it has digits of different systems, %s and %s: use those of one", show(first), show(r))
		}
	}
	return nil
}

// zero is the digit 0 of the system that a digit is of: Unicode has the digits of each in
// order.
func zero(digit rune) rune {
	for _, in := range unicode.Nd.R16 {
		if rune(in.Lo) <= digit && digit <= rune(in.Hi) {
			return digit - (digit-rune(in.Lo))%10
		}
	}
	for _, in := range unicode.Nd.R32 {
		if rune(in.Lo) <= digit && digit <= rune(in.Hi) {
			return digit - (digit-rune(in.Lo))%10
		}
	}
	return digit
}
