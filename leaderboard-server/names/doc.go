// Package names says which usernames players may choose, which of them are one name, and
// which look alike.
//
// A username is normalised first: full-width and half-width forms become the usual ones, and
// the text is composed (NFC), as the profiles of RFC 8265 have it. What is stored and shown is
// that form, in the player's own case. Its key, which is unique in a game and which logins
// look for, is the same for all names that differ only in case. Then these rules hold, in
// this order; a refusal names the character, and says what is allowed:
//
//  1. Characters are letters, marks and decimal digits of PRECIS' IdentifierClass (RFC 8264)
//     and of a script that is in use today (UAX 31, tables 5 and 7), and the signs in
//     Punctuation. That excludes spaces, controls, emoji, and characters that are another way
//     to write others, such as ligatures. Joiners (U+200C, U+200D) are for words that need
//     them: after a virama and, U+200C, between letters that would join (RFC 5892, A.1, A.2).
//  2. Marks stand on a letter, at most MaxNonspacing of them that take no room, at most
//     MaxMarks in all, and not the same twice in a row (UTS 39, 5.4).
//  3. Digits are of one system (UTS 39, 5.3).
//  4. Letters are of one script or of scripts that are written together. That is UTS 39's
//     level Moderately Restrictive: Japanese, Korean and Chinese with all that is theirs, each
//     of them with Latin, and Latin with one other script, as players like to put their clan's
//     tag before their name. Cyrillic, Greek and Armenian, whose letters look like Latin ones,
//     do not mix with Latin. Of scripts in limited use there is only one in a name.
//  5. A name with right-to-left letters keeps the bidi rule of RFC 5893, so that it is shown in
//     the order in which it is read, whatever stands around it. Other names need not.
//  6. Its length, in characters as people count them (grapheme clusters, UAX 29), is
//     MinLength to MaxLength; MinSyllabic suffices with a letter of a script whose characters
//     are words or syllables, as in 小明 and राम. It has at most MaxBytes.
//  7. It does not look like a reserved name, see [New].
//
// Names that pass can still look alike: Cyrillic "сор" and Latin "cop". Each has a [Skeleton],
// which is unique in a game, too: see there.
//
// Every name of 3 to 32 ASCII letters, digits and signs passes, unless it is reserved.
package names
