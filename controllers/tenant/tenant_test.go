package tenant

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Data is found by these names: a change of any of them loses every tenant.
func TestNamesNeverChange(t *testing.T) {
	one := For("", "arcade", "space-race")
	require.Equal(t, "arcade_space_race_d5thbq3f44bsblaw", one.ID)
	require.Equal(t, "lb_arcade_space_race_d5thbq3f44bsblaw", one.Schema())
	require.Equal(t, "lb_arcade_space_race_d5thbq3f44bsblaw_owner", one.OwnerRole())
	require.Equal(t, "lb_arcade_space_race_d5thbq3f44bsblaw_rw", one.GroupRole())
	require.Equal(t, "lb_arcade_space_race_d5thbq3f44bsblaw_a", one.LoginRole(SlotA))
	require.Equal(t, "lb_arcade_space_race_d5thbq3f44bsblaw_b", one.LoginRole(SlotB))
	require.Equal(t, "lb_arcade_space_race_d5thbq3f44bsblaw", one.RedisUser())
	require.Equal(t, "lb:arcade_space_race_d5thbq3f44bsblaw:", one.KeyPrefix())
}

func TestSeparatorsDoNotCollide(t *testing.T) {
	seen := map[string][3]string{}
	for _, parts := range [][3]string{
		{"", "a-b", "c"}, {"", "a", "b-c"}, {"", "ab", "c"}, {"a", "b", "c"}, {"", "a", "bc"}, {"ab", "", "c"},
		{"", "a_b", "c"}, {"", strings.Repeat("a", 63), "b"}, {"", strings.Repeat("a", 63), "c"},
	} {
		id := For(parts[0], parts[1], parts[2]).ID
		require.NotContains(t, seen, id, "%v and %v", seen[id], parts)
		seen[id] = parts
	}
}

func TestNamesFitEveryStore(t *testing.T) {
	const postgresIdentifier = 63 // bytes; longer ones are silently cut
	valid := regexp.MustCompile(`^[a-z0-9][a-z0-9_]*$`)
	rapid.Check(t, func(t *rapid.T) {
		a := For(rapid.String().Draw(t, "cluster"), rapid.String().Draw(t, "namespace"), rapid.String().Draw(t, "name"))
		require.Regexp(t, valid, a.ID)
		for _, role := range a.Roles() {
			require.LessOrEqual(t, len(role), postgresIdentifier)
		}
		require.NotContains(t, a.KeyPrefix(), "{", "a hash tag would put all keys into one slot")
	})
}

func TestSlots(t *testing.T) {
	require.Equal(t, SlotB, SlotA.Other())
	require.Equal(t, SlotA, SlotB.Other())
}

func TestRecorded(t *testing.T) {
	one := For("", "arcade", "space-race")
	recorded, ok := Recorded(one.ID)
	require.True(t, ok)
	require.Equal(t, one, recorded)
	for _, id := range []string{"", "_a", "A", "a*", "a b", "a:b", strings.Repeat("a", 42)} {
		_, ok := Recorded(id)
		require.False(t, ok, id)
	}

	for _, role := range one.Roles() {
		of, ok := OfRole(role)
		require.True(t, ok, role)
		require.Equal(t, one, of)
	}
	for _, role := range []string{one.Schema(), "lb_", "lb__a", "postgres", "arcade_a"} {
		_, ok := OfRole(role)
		require.False(t, ok, role)
	}
}
