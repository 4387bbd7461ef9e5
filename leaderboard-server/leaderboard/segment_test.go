package leaderboard

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The number of a segment's ranking says which season and value it is of, and is no season's.
func TestSegmentSeason(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		season := rapid.OneOf(rapid.Int32Range(1, 1<<seasonBits-refoldSpace), rapid.Int32Range(firstRefold+1, firstRefold+refoldSpace-1)).Draw(t, "season")
		value := rapid.OneOf(rapid.Int32Range(1, MaxAttributeValues), rapid.Just(int32(noValue))).Draw(t, "value")
		number := SegmentSeason(season, value)
		require.Negative(t, number)
		of, is := SplitSeason(number)
		require.Equal(t, []int32{season, value}, []int32{of, is})
	})

	for _, season := range []int32{0, 1, 77, RefoldSeason(3)} {
		of, value := SplitSeason(season)
		require.Equal(t, []int32{season, 0}, []int32{of, value}, "no segment")
	}
}

func TestSegmentsOfAnEvent(t *testing.T) {
	s := Segments{3, -4, 5}
	require.Equal(t, []int32{3, 5}, s.On(false))
	require.Equal(t, []int32{4}, s.On(true))
	require.Equal(t, Segments{-4}, s.OfGlobal())
	require.Empty(t, Segments(nil).On(true))
}

func TestAttributeAllows(t *testing.T) {
	country := Attribute{Name: "country", Values: []string{"DE", "FR"}}
	platform := Attribute{Name: "platform", Pattern: "pc|console-[0-9]+"}
	for _, c := range []struct {
		attribute Attribute
		value     string
		allowed   bool
	}{
		{country, "DE", true}, {country, "de", false}, {country, "D", false}, {country, "", false},
		{platform, "pc", true}, {platform, "console-42", true}, {platform, "pc2", false}, {platform, "a pc", false}, {platform, "pc\n", false},
		{platform, "console-" + strings.Repeat("9", MaxAttributeValue), false}, {Attribute{Pattern: ".*"}, "ä", false}, {Attribute{Pattern: ".*"}, "", false},
	} {
		require.Equal(t, c.allowed, c.attribute.Allows(c.value), "%s %q", c.attribute.Name, c.value)
	}
}

func TestAttributesThatAreRefused(t *testing.T) {
	many := make([]string, MaxListedValues+1)
	for i := range many {
		many[i] = fmt.Sprint("v", i)
	}
	for field, cases := range map[string]map[string]string{
		"attributes": {
			`{"attributes": [{"name": "Country", "values": ["DE"]}]}`:                                                  "for example country",
			`{"attributes": [{"name": "country"}]}`:                                                                    "needs either values",
			`{"attributes": [{"name": "country", "values": ["DE"], "pattern": "."}]}`:                                  "needs either values",
			`{"attributes": [{"name": "country", "values": ["D E"]}]}`:                                                 `value "D E" of attribute country`,
			`{"attributes": [{"name": "country", "values": ["DE", "DE"]}]}`:                                            "lists the value DE twice",
			`{"attributes": [{"name": "c", "pattern": "["}]}`:                                                          "is not a regular expression",
			`{"attributes": [{"name": "c", "pattern": "` + strings.Repeat("x", 201) + `"}]}`:                           "at most 200 bytes",
			`{"attributes": [{"name": "c", "values": ["` + strings.Join(many, `","`) + `"]}]}`:                         "at most 250 can be listed",
			`{"attributes": [{"name": "c", "pattern": "."}, {"name": "c", "pattern": "."}]}`:                           "configured twice",
			`{"attributes": [` + strings.Join(slices.Repeat([]string{`{"name": "c", "pattern": "."}`}, 5), ",") + `]}`: "at most 4",
		},
		"segments": {
			`{"boards": [{"name": "arena", "segments": ["country"]}]}`:                                                              "add it to attributes",
			`{"global": {"segments": ["country"]}}`:                                                                                 "segment \"country\" of board global",
			`{"attributes": [{"name": "c", "pattern": "."}], "boards": [{"name": "arena", "segments": ["c", "c"]}]}`:                "names the segment c twice",
			`{"attributes": [{"name": "c", "pattern": "."}], "boards": [{"name": "arena", "segments": ["a", "b", "c", "d", "e"]}]}`: "at most 4",
		},
	} {
		for file, message := range cases {
			_, err := ParseBoards([]byte(file))
			var refused *Error
			require.ErrorAs(t, err, &refused, file)
			require.Equal(t, field, refused.Field, file)
			require.Contains(t, refused.Message, message, file)
		}
	}

	boards, err := ParseBoards([]byte(`{"attributes": [{"name": "c", "values": ["a"]}], "boards": [{"name": "arena", "segments": ["c"]}, {"name": "plain", "segments": []}]}`))
	require.NoError(t, err)
	require.Equal(t, []Attribute{{Name: "c", Values: []string{"a"}}}, boards.Attributes())
	require.Equal(t, []string{"c"}, boards.All()[1].Segments)
	require.Nil(t, boards.All()[2].Segments, "as those that have none in the ledger")
}

// A shard of segments that were brought back is another one: what it has of them is from before.
func TestIdentityOfSegmentsThatWereBroughtBack(t *testing.T) {
	for _, ranks := range []Ranks{Ordinal, Dense} {
		first := Shard{Of: 3, Ranks: ranks}
		again := first
		again.Returned = 2
		require.NotEqual(t, first.Identity("ledger"), again.Identity("ledger"))
		require.True(t, again.Serves(again.Identity("ledger")))
		require.False(t, again.Serves(first.Identity("ledger")))
	}
}
