package names_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/names"
)

func TestSkeletons(t *testing.T) {
	for _, alike := range [][]string{
		{"paypa", "раура", "PAYPA"},  // Latin and Cyrillic
		{"cop", "сор", "СОР"},        // all of it
		{"BOT", "ВОТ", "вот", "ΒΟΤ"}, // capitals, also of Greek
		{"IVAN", "ΙVΑΝ"},             // a capital I is like I
		{"क्ष", "क्\u200cष"},         // a joiner is not seen
		{"カ口", "力ロ"},                 // Kana and Han
		{"şahin", "s\u0326ahin"},     // cedilla and comma
		{"على", "علي"},               // a final yeh has no dots in some fonts
		{"Kaan", "ᴋᴀᴀɴ"},             // small capitals
		{"Zoë", "Zoe\u0308", "Zоë"},
	} {
		for _, other := range alike[1:] {
			require.Equal(t, names.Skeleton(alike[0]), names.Skeleton(other), "%q and %q", alike[0], other)
		}
	}

	for _, different := range [][2]string{
		{"modern", "modem"}, {"player1", "playerl"}, {"Ill", "lll"}, {"b00", "boo"}, // ASCII passes as before
		{"jose", "josé"}, {"小明", "小朋"}, {"राम", "राय"}, {"дима", "дина"}, {"はは", "ばば"},
	} {
		require.NotEqual(t, names.Skeleton(different[0]), names.Skeleton(different[1]), "%q and %q", different[0], different[1])
	}
}

// Skeletons are in the databases of games. Where this fails, those that are stored and those
// of new usernames are no longer made alike: a migration has to empty name_skeletons and set
// skeleton_progress to 0, so that maintenance makes all of them again.
func TestSkeletonsAreStored(t *testing.T) {
	sum := sha256.New()
	for r := rune(1); r < 0x20000; r++ {
		if 0xd800 <= r && r <= 0xdfff {
			continue
		}
		sum.Write([]byte(names.Skeleton(string(r)) + "\n"))
	}
	require.Equal(t, "fd67e55b095befa35a8416dbb44abc4b87becc51d1bd271e7017d339b2b66ae7", hex.EncodeToString(sum.Sum(nil)))
}
