package names

import (
	"slices"
	"sort"
	"strings"
	"unicode"
)

// The scripts of UAX 31, by their names in package unicode.
var (
	// recommended are those in wide use (table 5).
	recommended = []string{
		"Latin", "Cyrillic", "Greek", "Armenian", "Arabic", "Hebrew", "Thaana",
		"Han", "Hiragana", "Katakana", "Hangul", "Bopomofo",
		"Bengali", "Devanagari", "Ethiopic", "Georgian", "Gujarati", "Gurmukhi", "Kannada", "Khmer", "Lao",
		"Malayalam", "Myanmar", "Oriya", "Sinhala", "Tamil", "Telugu", "Thai", "Tibetan",
	}
	// limited are those in limited use (table 7).
	limited = []string{
		"Adlam", "Balinese", "Bamum", "Batak", "Canadian_Aboriginal", "Chakma", "Cham", "Cherokee", "Hanifi_Rohingya",
		"Javanese", "Kayah_Li", "Lepcha", "Limbu", "Lisu", "Mandaic", "Meetei_Mayek", "Miao", "New_Tai_Lue", "Newa", "Nko",
		"Nyiakeng_Puachue_Hmong", "Ol_Chiki", "Osage", "Saurashtra", "Sundanese", "Syloti_Nagri", "Syriac", "Tai_Le",
		"Tai_Tham", "Tai_Viet", "Tifinagh", "Vai", "Wancho", "Yi",
	}
	// likeLatin have letters that look like Latin ones, and do not mix with them.
	likeLatin = []string{"Cyrillic", "Greek", "Armenian"}
	// alphabets have a character for a sound: a name of two of them is an abbreviation. In
	// all other scripts a character is a word, a syllable, or a consonant with its vowel.
	alphabets = []string{
		"Latin", "Cyrillic", "Greek", "Armenian", "Georgian", "Arabic", "Hebrew", "Thaana", "Adlam", "Hanifi_Rohingya",
		"Lisu", "Mandaic", "Nko", "Nyiakeng_Puachue_Hmong", "Ol_Chiki", "Osage", "Syriac", "Tifinagh", "Wancho",
	}
)

// anyScript is what a character is of that is used with every script.
const anyScript = "any"

// extension says which scripts characters are used with.
type extension struct {
	first, last rune
	scripts     []string
}

// allowed are the scripts of usernames.
var allowed = slices.Concat(recommended, limited)

// systems are the sets of scripts that may be in one username.
var systems = writingSystems()

func writingSystems() [][]string {
	var list [][]string
	for _, script := range allowed {
		list = append(list, []string{script})
	}
	for _, script := range recommended {
		if !slices.Contains(likeLatin, script) {
			list = append(list, []string{"Latin", script})
		}
	}
	return append(list,
		[]string{"Latin", "Han", "Hiragana", "Katakana"}, []string{"Latin", "Han", "Bopomofo"}, []string{"Latin", "Han", "Hangul"})
}

// scriptsOf are the allowed scripts that a character is used with; anyScript alone: with all.
// None: it is of no script that is allowed.
func scriptsOf(r rune) []string {
	if unicode.In(r, unicode.Common, unicode.Inherited) {
		i := sort.Search(len(extensions), func(i int) bool { return extensions[i].last >= r })
		if i == len(extensions) || r < extensions[i].first {
			return []string{anyScript}
		}
		return slices.DeleteFunc(slices.Clone(extensions[i].scripts), func(s string) bool { return !slices.Contains(allowed, s) })
	}

	for _, script := range allowed {
		if unicode.Is(unicode.Scripts[script], r) {
			return []string{script}
		}
	}
	return nil
}

// scriptName is the script of any character, for messages.
func scriptName(r rune) string {
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return readable(name)
		}
	}
	return "unknown"
}

func readable(script string) string { return strings.ReplaceAll(script, "_", " ") }

// fits says whether a character may be in a username of these scripts.
func fits(r rune, system []string) bool {
	return slices.ContainsFunc(scriptsOf(r), func(s string) bool { return s == anyScript || slices.Contains(system, s) })
}

// checkScripts refuses scripts that are not written together.
func checkScripts(text string) error {
	together := func(characters string) bool {
		return slices.ContainsFunc(systems, func(system []string) bool {
			return !strings.ContainsFunc(characters, func(r rune) bool { return !fits(r, system) })
		})
	}
	if together(text) {
		return nil
	}

	// The name is of the script that most of its letters are of. What does not go with that
	// is the first character to name; of three scripts it is the first of the last one.
	main := mainScript(text)
	of := ""
	if first, found := firstOf(text, main); found {
		of = string(first)
	}
	for _, r := range text {
		if !together(of + string(r)) {
			return mixed(r, main)
		}
	}

	var before strings.Builder
	for _, r := range text {
		before.WriteRune(r)
		if !together(before.String()) {
			return mixed(r, main)
		}
	}
	return nil
}

func mixed(r rune, main string) error {
	return refuse("the letter %s is %s among %s letters: use letters of one script, or of scripts that are written together", show(r), readable(scriptsOf(r)[0]), readable(main))
}

// mainScript is the script that most characters are of, the first of several.
func mainScript(text string) (main string) {
	count := map[string]int{}
	for _, r := range text {
		if of := scriptsOf(r); len(of) == 1 && of[0] != anyScript {
			count[of[0]]++
		}
	}
	for _, r := range text {
		if of := scriptsOf(r); len(of) == 1 && count[of[0]] > count[main] {
			main = of[0]
		}
	}
	return main
}

func firstOf(text, script string) (rune, bool) {
	for _, r := range text {
		if of := scriptsOf(r); len(of) == 1 && of[0] == script {
			return r, true
		}
	}
	return 0, false
}

// syllabic says whether a username has a letter of a script whose characters are words or
// syllables.
func syllabic(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		of := scriptsOf(r)
		return unicode.IsLetter(r) && len(of) > 0 && of[0] != anyScript && !slices.ContainsFunc(of, func(s string) bool { return slices.Contains(alphabets, s) })
	})
}
