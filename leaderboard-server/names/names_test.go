package names_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/names"
)

var rules = names.New([]string{"admin", "Moderator", "system", "модератор", "___"})

// accepted are usernames by what is written in them.
var accepted = map[string][]string{
	"ASCII":        {"abc", "a_b-c.d", "_ada_", "-1-", "...", "123", "xX_Slayer_Xx", "0xDEADBEEF", strings.Repeat("a", 32), "modern", "modem", "administrators"},
	"Latin":        {"Zoë", "_Zoë", "José-", "99Björn", "ÅSA", "İpek", "straße", "Łukasz", "ʻOkina", "Ɛsi", "ŋaŋa"},
	"Vietnamese":   {"Nguyễn", "Điệp", "Trần_Thị_Ngọc", "nguye\u0302\u0303n"},
	"Cyrillic":     {"Ёлка", "99Ёлка", "Дмитрий_77", "Її-Ґанок", "әлем"},
	"Greek":        {"Νίκος", "αθηνά", "ᾧδε", "ΟΔΥΣΣΕΥΣ"},
	"Armenian":     {"Հայկ", "Արամ.1"},
	"Georgian":     {"ქართველი", "Pro_გია"},
	"Arabic":       {"علي", "محمد", "سلام١٢", "علي99", "عبد_الله", "مُحَمَّد"},
	"Persian":      {"می\u200cخواهم", "علی۱۲"},
	"Hebrew":       {"דוד", "שָׁלוֹם", "בן-גוריון1"},
	"Devanagari":   {"राम", "हिंदी", "नमस्ते१२", "क्\u200cष", "श्\u200dरवण", "Pro_राम"},
	"Tamil":        {"சிவா"},
	"Thai":         {"สมชาย", "น้ำ", "xX_อาร์ม_Xx", "ก๊วย"},
	"Lao":          {"ຄຳແພງ"},
	"Burmese":      {"မျှော်လင့်"},
	"Khmer":        {"ខ្មែរ"},
	"Tibetan":      {"རྒྱལ"},
	"Ethiopic":     {"ሰላም", "ሙሉ"},
	"Han":          {"小明", "1小明明", "李小龙", "李A", "々木"},
	"Kana":         {"さくら", "ルーク", "ｶﾞﾝﾀﾞﾑ", "はひ", "漢字かなカナabc", "スーパー_Mario"},
	"Hangul":       {"한글", "다현", "Dahyun다현", "\u1112\u1161\u11ab\u1100\u1173\u11af", "金철수"},
	"Bopomofo":     {"ㄅㄆ", "小ㄅ"},
	"limited use":  {"ᏣᎳᎩ", "ߒߞߏ", "ᐃᓄᒃ", "ⵜⴰⵎⴰ"},
	"full width":   {"Ａｄａ", "ａｄａ１２", "ａ＿ｂ－ｃ"},
	"many letters": {strings.Repeat("é", 32), strings.Repeat("e\u0301", 32), strings.Repeat("ಕಾ", 21), strings.Repeat("漢", 32)},
}

func TestAccepted(t *testing.T) {
	for script, usernames := range accepted {
		for _, raw := range usernames {
			name, err := rules.Check(raw)
			require.NoError(t, err, "%s: %q", script, raw)
			require.Equal(t, norm.NFC.String(name.Text), name.Text)
			require.NotEmpty(t, name.Skeleton)
			key, ok := rules.Key(raw)
			require.True(t, ok)
			require.Equal(t, key, name.Key, "a login finds it as it was typed")
			requireStable(t, name)
		}
	}
}

// What is refused, and what the message says of it.
func TestRefused(t *testing.T) {
	const signs = "letters, digits, and _ - . are allowed"
	for _, c := range []struct {
		raw  string
		says []string
	}{
		{"", []string{"0 characters", "3 to 32"}},
		{"ab", []string{"2 characters", "3 to 32"}},
		{"é1", []string{"2 characters"}},
		{"王", []string{"1 character:", "2 to 32"}},
		{"яя", []string{"2 characters"}},
		{"가", []string{"1 character:"}},
		{"का", []string{"1 character:"}},
		{strings.Repeat("a", 33), []string{"33 characters", "3 to 32"}},
		{strings.Repeat("漢", 33), []string{"33 characters"}},
		{strings.Repeat("ကြောင့်", 7), []string{"147 bytes", "at most 128"}},
		{strings.Repeat("a", 5000), []string{"5000 bytes", "3 to 32"}},
		{"abc\xff", []string{"UTF-8"}},

		{"ada lovelace", []string{"a space (U+0020)", signs}},
		{"ada\u00a0l", []string{"a space (U+00A0)", signs}},
		{"ada\u3000l", []string{"a space (U+0020)", signs}},
		{"a\x00b", []string{"a control character (U+0000)"}},
		{"a\nb", []string{"(U+000A)"}},
		{"ad\aa", []string{"a control character (U+0007)"}},
		{"<b>", []string{"< (U+003C)", signs}},
		{"ada/b", []string{"/ (U+002F)", signs}},
		{"l·l", []string{"· (U+00B7)", signs}},
		{"ada🎲", []string{"emoji", "🎲 (U+1F3B2)", signs}},
		{"👩\u200d🚀x", []string{"👩 (U+1F469)"}},
		{"x❤\ufe0f", []string{"❤ (U+2764)"}},
		{"abc\ufe0f", []string{"an invisible character (U+FE0F)"}},
		{"ﬁsh", []string{"the ligature ﬁ (U+FB01)", "write fi"}},
		{"x²y", []string{"² (U+00B2)", "write 2"}},
		{"𝒜da", []string{"𝒜 (U+1D49C)", "write A"}},
		{"½half", []string{"½ (U+00BD)", signs}},
		{"ㅋㅋㅋ", []string{"ㅋ (U+314B)"}},
		{"a\u202eb", []string{"direction", "U+202E"}},
		{"a\u2066bc", []string{"direction", "U+2066"}},
		{"a\u200bb", []string{"invisible", "U+200B"}},
		{"ada\U000e0061", []string{"invisible", "U+E0061"}},
		{"a\u00adbc", []string{"invisible", "U+00AD"}},
		{"abc\ue000", []string{"does not define", "U+E000"}},
		{"abc\U000e0fff", []string{"U+E0FFF"}},
		{"ᚠᚢᚦ", []string{"ᚠ (U+16A0)", "Runic"}},

		{"a\u200cb", []string{"joiner (U+200C)"}},
		{"a\u200db", []string{"joiner (U+200D)"}},
		{"ab\u200d", []string{"joiner (U+200D)"}},
		{"علي\u200c", []string{"joiner (U+200C)"}},

		{"\u0301abc", []string{"◌\u0301 (U+0301)", "does not stand on a letter"}},
		{"ab-\u0301", []string{"U+0301", "does not stand on a letter"}},
		{"12\u0301", []string{"U+0301", "does not stand on a letter"}},
		{"q\u0301\u0301bc", []string{"U+0301", "twice"}},
		{"a" + strings.Repeat("\u0301\u0302", 10) + "bc", []string{"too many marks", "4"}},
		{"क" + strings.Repeat("ाी", 5) + "कक", []string{"too many marks"}},

		{"علي٩9", []string{"٩ (U+0669)", "9 (U+0039)", "different systems"}},
		{"१2क", []string{"१ (U+0967)", "2 (U+0032)"}},
		{"علي٩۹", []string{"۹ (U+06F9)"}},

		{"аdmin", []string{"the letter а (U+0430) is Cyrillic among Latin letters"}},
		{"paypаl", []string{"а (U+0430) is Cyrillic among Latin"}},
		{"Ωmega", []string{"Ω (U+03A9) is Greek among Latin"}},
		{"ԱBcd", []string{"Ա (U+0531) is Armenian among Latin"}},
		{"Димаr", []string{"r (U+0072) is Latin among Cyrillic"}},
		{"さくら한글", []string{"Hangul among Hiragana"}},
		{"ไทยまつ", []string{"Hiragana among Thai"}},
		{"ᏣᎳᎩabcd", []string{"Cherokee among Latin"}},
		{"abcカไ", []string{"Thai among Latin"}},

		{"_علي", []string{"right to left", "begins with a letter"}},
		{"1علي", []string{"right to left"}},
		{"علي_", []string{"right to left", "ends with a letter or digit"}},
		{"דוдо", []string{"Cyrillic among Hebrew"}},
		{"aدa", []string{"د (U+062F)", "right to left"}},

		{"admin", []string{"reserved"}},
		{"ADMIN", []string{"reserved"}},
		{"Ａdmin", []string{"reserved"}},
		{"Adm1n", []string{"reserved"}},
		{"adrnin", []string{"reserved"}},
		{"a.d.m.i.n", []string{"reserved"}},
		{"_admin_", []string{"reserved"}},
		{"ᴀᴅᴍɪɴ", []string{"reserved"}},
		{"admın", []string{"reserved"}},
		{"m0derat0r", []string{"reserved"}},
		{"ЅУЅТЕМ", []string{"reserved"}},
		{"Модератор", []string{"reserved"}},
		{"___", []string{"reserved"}},
	} {
		_, err := rules.Check(c.raw)
		var refused *leaderboard.Error
		require.ErrorAs(t, err, &refused, "%q", c.raw)
		require.Equal(t, leaderboard.CodeInvalid, refused.Code)
		require.Equal(t, "username", refused.Field)
		for _, says := range c.says {
			require.Contains(t, refused.Message, says, "%q", c.raw)
		}
	}
}

// What was a username before is one still, and is found by the same key.
func TestASCIIPassesAsBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.StringMatching(`[A-Za-z0-9_.-]{3,32}`).Draw(t, "username")
		name, err := names.New(nil).Check(raw)
		if err != nil || name.Text != raw || name.Key != strings.ToLower(raw) || name.Skeleton != strings.ToLower(raw) {
			t.Fatalf("%q: %+v, %v", raw, name, err)
		}
	})
}

func TestKeys(t *testing.T) {
	for _, same := range [][]string{
		{"Ada", "ada", "ADA", "Ａｄａ"}, {"Zoë", "Zoe\u0308", "ZOË"}, {"ΟΔΥΣΣΕΥΣ", "οδυσσευς", "οδυσσευσ"},
		{"ÅSA", "åsa", "A\u030asa"}, {"น้ำ", "น้\u0e4d\u0e32"}, {"ガンダム", "ｶﾞﾝﾀﾞﾑ"},
	} {
		key, ok := names.Key(same[0])
		require.True(t, ok)
		for _, other := range same[1:] {
			otherKey, ok := names.Key(other)
			require.True(t, ok, other)
			require.Equal(t, key, otherKey, "%q and %q", same[0], other)
		}
	}

	for _, bad := range []string{"", strings.Repeat("a", 513), "a\x00b", "a b", "\xff\xfeab", "a\u200bb", "ﬁsh", "½half"} {
		_, ok := names.Key(bad)
		require.False(t, ok, "%q", bad)
	}
}

// FuzzCheck holds that a username that passes passes once more as it is, and is found by any
// spelling of it; and that the key of what was a username before is what it was.
func FuzzCheck(f *testing.F) {
	for _, usernames := range accepted {
		for _, raw := range usernames {
			f.Add(raw)
		}
	}
	for _, raw := range []string{"a\u200cb", "ﬁsh", "e\u0301\u0301", "ｶﾞ\u0301", "\u0e33\u0e33\u0e33", "ǅǅǅ", "İİİ", "علي٩9", "\u1100\u1161\u11a8\u11a8", "\u0345abc"} {
		f.Add(raw)
	}

	f.Fuzz(func(t *testing.T, raw string) {
		if before, err := precis.UsernameCaseMapped.String(raw); err == nil && raw != "" && len(raw) <= 512 {
			key, ok := names.Key(raw)
			require.True(t, ok)
			require.Equal(t, norm.NFC.String(cases.Fold().String(before)), key)
		}
		if name, err := rules.Check(raw); err == nil {
			requireStable(t, name)
		}
	})
}

func requireStable(t *testing.T, name leaderboard.Username) {
	t.Helper()
	again, err := rules.Check(name.Text)
	require.NoError(t, err, "%q", name.Text)
	require.Equal(t, name, again)
	require.LessOrEqual(t, len(name.Text), names.MaxBytes)

	decomposed := norm.NFD.String(name.Text)
	key, ok := rules.Key(decomposed)
	require.True(t, ok, "%q", decomposed)
	require.Equal(t, name.Key, key)
	require.Equal(t, name.Skeleton, names.Skeleton(name.Text))
	require.Equal(t, name.Skeleton, names.Skeleton(decomposed))
	require.NotContains(t, name.Skeleton, "\u200c")
	require.NotContains(t, name.Skeleton, "\u200d")
}
