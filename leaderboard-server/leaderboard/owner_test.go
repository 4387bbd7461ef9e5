package leaderboard

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOwnersOfABoard(t *testing.T) {
	t.Parallel()
	boards, err := ParseBoards([]byte(`{"boards": [{"name": "clans", "owners": "External"}, {"name": "maps", "owners": "External", "submitters": "Servers", "countsTowardGlobal": false, "order": "Ascending"}, {"name": "race", "owners": "Players"}]}`))
	require.NoError(t, err)
	for i, want := range []struct{ external, servers, global bool }{{}, {true, true, false}, {true, true, false}, {false, false, true}} {
		if b := boards.All()[i]; i > 0 {
			require.Equal(t, want, struct{ external, servers, global bool }{b.External, b.ServersOnly, b.CountsTowardGlobal}, b.Name)
		}
	}

	for file, field := range map[string]string{
		`{"boards": [{"name": "a", "owners": "external"}]}`:                             "boards",
		`{"boards": [{"name": "a", "owners": "External", "submitters": "Players"}]}`:    "submitters",
		`{"boards": [{"name": "a", "owners": "External", "countsTowardGlobal": true}]}`: "countsTowardGlobal",
		`{"boards": [{"name": "a", "owners": "External", "signatures": "Required"}]}`:   "signatures",
		`{"boards": [], "global": {"owners": "External"}}`:                              "boards",
	} {
		_, err := ParseBoards([]byte(file))
		var refused *Error
		require.ErrorAs(t, err, &refused, file)
		require.Equal(t, field, refused.Field, file)
	}
}

// A board keeps its owners, and what goes with them, whatever is configured.
func TestABoardKeepsItsOwners(t *testing.T) {
	t.Parallel()
	players := Board{Name: "a", Order: Descending, Scoring: Best, CountsTowardGlobal: true, Signed: true, Ranks: Ordinal}
	owners := Board{Name: "a", Order: Descending, Scoring: Best, External: true, ServersOnly: true, Ranks: Ordinal}
	require.Equal(t, owners, LiveBoard{Board: owners}.Keeping(players))
	require.Equal(t, Board{Name: "a", Order: Descending, Scoring: Best, ServersOnly: true, Ranks: Ordinal}, LiveBoard{Board: players}.Keeping(owners))
	require.Equal(t, "board a cannot get the owners External: its entries belong to those of Players. Add a board with another name instead", players.OtherOwners(owners))
	require.Empty(t, owners.OtherOwners(owners))
}

func TestNamesOfOwners(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"x": true, "<b>": true, "Team 7 🏁": true, "  a ": true, "نادي": true, strings.Repeat("語", 64): true,
		"": false, " ": false, "\u3000": false, "\u200d": false, "a\tb": false, "a\u2028b": false, "a\u202eb": false, "a\u2066b": false, "a\x00": false, "\xff": false, strings.Repeat("x", 65): false,
	} {
		require.Equal(t, good, CheckOwnerName("owner_name", name) == nil, "%q", name)
	}
}
