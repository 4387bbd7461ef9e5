package leaderboard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// span is a season as "opens/closes".
func span(s Season) string { return s.Opens.Format(time.RFC3339) + "/" + s.Closes.Format(time.RFC3339) }

func between(ordinal int32, opens, closes string) Season {
	return Season{Number: ordinal + 1, Window: "w", Ordinal: ordinal, Opens: at(opens), Closes: at(closes)}
}

func TestSeasonsAreAnnouncedAhead(t *testing.T) {
	daily := Window{Name: "w", Schedule: "daily", TimeZone: "UTC"}
	cup := Window{Name: "w", TimeZone: "UTC", Start: at("2026-06-10T00:00:00Z"), End: at("2026-06-20T00:00:00Z")}
	for name, c := range map[string]struct {
		window Window
		last   Season
		now    string
		want   string // empty: nothing is announced
	}{
		"the first one begins within seconds":       {daily, Season{}, "2026-06-01T12:00:00Z", "2026-06-01T12:00:05Z/2026-06-02T00:00:00Z"},
		"the next one while one is open":            {daily, between(1, "2026-06-01T12:00:00Z", "2026-06-02T00:00:00Z"), "2026-06-01T13:00:00Z", "2026-06-02T00:00:00Z/2026-06-03T00:00:00Z"},
		"no more than the next one":                 {daily, between(2, "2026-06-02T00:00:00Z", "2026-06-03T00:00:00Z"), "2026-06-01T13:00:00Z", ""},
		"one that was missed":                       {daily, between(1, "2026-06-01T12:00:00Z", "2026-06-02T00:00:00Z"), "2026-06-09T13:00:00Z", "2026-06-02T00:00:00Z/2026-06-03T00:00:00Z"},
		"one after an early end is short":           {daily, between(1, "2026-06-01T12:00:00Z", "2026-06-01T15:00:00Z"), "2026-06-01T14:00:00Z", "2026-06-01T15:00:00Z/2026-06-02T00:00:00Z"},
		"once, from its start":                      {cup, Season{}, "2026-06-01T12:00:00Z", "2026-06-10T00:00:00Z/2026-06-20T00:00:00Z"},
		"once, when it should have begun":           {cup, Season{}, "2026-06-12T00:00:00Z", "2026-06-12T00:00:05Z/2026-06-20T00:00:00Z"},
		"once, when it is over":                     {cup, Season{}, "2026-06-20T00:00:00Z", ""},
		"once is enough":                            {cup, between(1, "2026-06-10T00:00:00Z", "2026-06-20T00:00:00Z"), "2026-06-21T00:00:00Z", ""},
		"once, ended early":                         {cup, between(1, "2026-06-10T00:00:00Z", "2026-06-12T00:00:00Z"), "2026-06-13T00:00:00Z", ""},
		"once again, as it was given a later start": {cup, between(1, "2026-05-10T00:00:00Z", "2026-05-12T00:00:00Z"), "2026-06-01T00:00:00Z", "2026-06-10T00:00:00Z/2026-06-20T00:00:00Z"},
	} {
		next, ok := c.window.NextSeason(c.last, at(c.now))
		if got := span(next); c.want == "" {
			require.False(t, ok, "%s: %s", name, got)
		} else {
			require.Equal(t, c.want, got, name)
			require.Equal(t, c.last.Ordinal+1, next.Ordinal, name)
		}
	}
}

func TestAWindowIsRescheduled(t *testing.T) {
	weekly := Window{Name: "w", Schedule: "weekly", TimeZone: "UTC"}
	cup := Window{Name: "w", TimeZone: "UTC", Start: at("2026-06-10T00:00:00Z"), End: at("2026-06-20T00:00:00Z")}
	for name, c := range map[string]struct {
		window Window
		last   Season
		now    string
		want   string // empty: it stays
	}{
		"what is open keeps its end":     {weekly, between(1, "2026-06-01T12:00:00Z", "2026-06-02T00:00:00Z"), "2026-06-01T13:00:00Z", ""},
		"the next one gets another":      {weekly, between(2, "2026-06-02T00:00:00Z", "2026-06-03T00:00:00Z"), "2026-06-01T13:00:00Z", "2026-06-02T00:00:00Z/2026-06-08T00:00:00Z"},
		"and then stays":                 {weekly, between(2, "2026-06-02T00:00:00Z", "2026-06-08T00:00:00Z"), "2026-06-01T13:00:00Z", ""},
		"there is none":                  {weekly, Season{}, "2026-06-01T13:00:00Z", ""},
		"once, extended":                 {cup, between(1, "2026-06-10T00:00:00Z", "2026-06-15T00:00:00Z"), "2026-06-14T00:00:00Z", "2026-06-10T00:00:00Z/2026-06-20T00:00:00Z"},
		"once, shortened":                {cup, between(1, "2026-06-10T00:00:00Z", "2026-07-15T00:00:00Z"), "2026-06-14T00:00:00Z", "2026-06-10T00:00:00Z/2026-06-20T00:00:00Z"},
		"once, to an end that is over":   {cup, between(1, "2026-06-10T00:00:00Z", "2026-07-15T00:00:00Z"), "2026-06-21T00:00:00Z", "2026-06-10T00:00:00Z/2026-06-21T00:00:05Z"},
		"once, the start of one to come": {cup, between(1, "2026-06-12T00:00:00Z", "2026-06-20T00:00:00Z"), "2026-06-01T00:00:00Z", "2026-06-10T00:00:00Z/2026-06-20T00:00:00Z"},
		"once, over":                     {cup, between(1, "2026-06-10T00:00:00Z", "2026-06-15T00:00:00Z"), "2026-06-16T00:00:00Z", ""},
	} {
		changed, ok := c.window.Reschedule(c.last, at(c.now))
		require.Equal(t, c.want != "", ok, name)
		if ok {
			require.Equal(t, c.want, span(changed), name)
		}
	}
}

// A replica knows by itself until when it knows the seasons.
func TestACatalogKnowsItsSeasons(t *testing.T) {
	daily := Window{Name: "w", Schedule: "daily", TimeZone: "UTC"}
	board := LiveBoard{Board: Global(), Number: 1, Season: 1, Active: true}
	board.Windows = []Window{daily}
	board.Seasons = []Season{between(1, "2026-06-01T12:00:00Z", "2026-06-02T00:00:00Z"), between(2, "2026-06-02T00:00:00Z", "2026-06-03T00:00:00Z")}
	catalog, err := NewCatalog([]LiveBoard{board})
	require.NoError(t, err)
	catalog = catalog.AsOf(7, at("2026-06-01T13:00:00Z"))

	require.WithinDuration(t, at("2026-06-01T13:00:00Z"), catalog.Now(), time.Minute)
	require.True(t, catalog.Knows(7, at("2026-06-02T23:59:59Z")))
	require.False(t, catalog.Knows(7, at("2026-06-03T00:00:00Z")), "a season that is not known may be open")
	require.False(t, catalog.Knows(8, at("2026-06-02T00:00:00Z")))
	require.False(t, catalog.AnnouncementDue(at("2026-06-01T13:00:00Z")))
	require.True(t, catalog.AnnouncementDue(at("2026-06-02T00:00:00Z")))

	board.Windows, board.Seasons = nil, nil
	without, err := NewCatalog([]LiveBoard{board})
	require.NoError(t, err)
	require.True(t, without.Knows(0, at("2126-06-01T13:00:00Z")))
	require.False(t, without.AnnouncementDue(at("2126-06-01T13:00:00Z")))
}

func TestWindowsThatAreRefused(t *testing.T) {
	window := func(fields string) string { return `{"boards": [{"name": "race", "windows": [{` + fields + `}]}]}` }
	var nine []string
	for i := range 9 {
		nine = append(nine, fmt.Sprintf(`{"name": "w%d", "schedule": "daily"}`, i))
	}
	for file, message := range map[string]string{
		window(`"name": "all", "schedule": "daily"`):                                                                    "that of all time",
		window(`"name": "Daily", "schedule": "daily"`):                                                                  "lower-case letters",
		window(`"name": "w"`):                                                                                           "needs a schedule",
		window(`"name": "w", "schedule": "daily", "start": "2026-01-01T00:00:00Z"`):                                     "give the schedule, or both",
		window(`"name": "w", "start": "2026-01-01T00:00:00Z"`):                                                          "or both start and end",
		window(`"name": "w", "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:59Z"`):                           "at least 1m0s after",
		window(`"name": "w", "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z", "timeZone": "Asia/Tokyo"`): "leave timeZone out",
		window(`"name": "w", "schedule": "yearly"`):                                                                     "daily, weekly, monthly, or five fields",
		window(`"name": "w", "schedule": "*/5 * * * *"`):                                                                "more often than once an hour",
		window(`"name": "w", "schedule": "0 0 31 2 *"`):                                                                 "no year has such a day",
		window(`"name": "w", "schedule": "0 0 * * * *"`):                                                                "five fields",
		window(`"name": "w", "schedule": "0 24 * * *"`):                                                                 "schedule",
		window(`"name": "w", "schedule": "daily", "timeZone": "europe/berlin"`):                                         "did you mean Europe/Berlin?",
		window(`"name": "w", "schedule": "daily", "timeZone": "Mars/Olympus"`):                                          "window w of board race must be an IANA name",
		window(`"name": "w", "schedule": "daily", "keep": 0`):                                                           "from 1 to 1000",
		window(`"name": "w", "schedule": "daily", "keep": 1001`):                                                        "from 1 to 1000",
		window(`"name": "w", "schedule": "daily", "every": 1`):                                                          "unknown field",
		window(`"name": "w", "schedule": "daily"}, {"name": "w", "schedule": "weekly"`):                                 "two windows w",
		`{"boards": [{"name": "race", "allTime": false}]}`:                                                              "neither a ranking of all time nor windows",
		`{"boards": [{"name": "race", "windows": [` + strings.Join(nine, ",") + `]}]}`:                                  "at most 8",
		`{"global": {"allTime": false}}`:                                                                                "unknown field",
	} {
		_, err := ParseBoards([]byte(file))
		require.ErrorContains(t, err, message, file)
	}
}

// A refold makes the rankings that are served, or will be soon.
func TestRankingsOfARefold(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	season := func(window string, number int32, opens, closes time.Duration) RefoldedSeason {
		return RefoldedSeason{Season{Number: number, Window: window, Opens: now.Add(opens), Closes: now.Add(closes)}, number + 100}
	}
	seasons := []RefoldedSeason{season("daily", 2, -time.Hour, time.Hour), season("daily", 3, time.Hour, 2*time.Hour),
		season("cup", 4, OpeningSoon-1, time.Hour), season("cup", 5, -2*time.Hour, 0), season("gone", 6, -time.Hour, time.Hour)}
	sum, best := Rules{Order: Ascending, Scoring: Sum}, Rules{Order: Descending, Scoring: Best}

	board := LiveBoard{Number: 7, Season: 1, Refold: &Refold{Rules: sum, Season: RefoldSeason(1)}}
	board.Board = Board{Windows: []Window{{Name: "daily"}, {Name: "cup"}}}.WithRules(best)
	work := RefoldWork{Board: board.In(RefoldSeason(1))}.WithSeasons(seasons)
	require.Empty(t, board.Refold.Seasons, "the board is another")

	var numbers []int32
	for _, ranking := range work.Rankings(now) {
		numbers = append(numbers, ranking.Season)
		require.Equal(t, sum.Fold(), ranking.Shard(ranking.Season, 0).Fold)
	}
	require.Equal(t, []int32{RefoldSeason(1), 102, 104}, numbers)
	require.Equal(t, best.Fold(), work.Board.In(2).Fold(), "the season that is served is as it was")

	work.Board.WindowsOnly = true
	require.Len(t, work.Rankings(now), 2)
}
