package leaderboard

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAppend(t *testing.T) {
	have := func(score, event int64) Standing { return Standing{Score: score, Event: event, Last: 3} }
	cases := []struct {
		name         string
		order        Order
		scoring      Scoring
		before       Standing
		score        int64
		wantScore    int64
		wantEvent    int64 // the new one is 9
		improved, ok bool
	}{
		{"higher is better", Descending, Best, have(4, 3), 5, 5, 9, true, true},
		{"equal keeps the earlier", Descending, Best, have(5, 3), 5, 5, 3, false, true},
		{"lower is worse", Descending, Best, have(5, 3), 4, 5, 3, false, true},
		{"lower is better where it is ascending", Ascending, Best, have(5, 3), 4, 4, 9, true, true},
		{"higher is worse where it is ascending", Ascending, Best, have(5, 3), 6, 5, 3, false, true},
		{"the latest counts, better", Descending, Latest, have(5, 3), 6, 6, 9, true, true},
		{"the latest counts, worse", Descending, Latest, have(5, 3), 4, 4, 9, false, true},
		{"the latest counts, equal keeps the tie", Ascending, Latest, have(5, 2), 5, 5, 2, false, true},
		{"the first stays, before a better one", Descending, First, have(4, 3), 5, 4, 3, false, true},
		{"the first stays, before a worse one", Ascending, First, have(4, 3), 5, 4, 3, false, true},
		{"counts grow, whatever the score", Descending, Count, have(4, 3), -9, 5, 9, true, true},
		{"a count where less is better", Ascending, Count, have(4, 3), 9, 5, 9, false, true},
		{"sums grow", Descending, Sum, have(5, 3), 4, 9, 9, true, true},
		{"sums shrink", Descending, Sum, have(5, 3), -4, 1, 9, false, true},
		{"golf", Ascending, Sum, have(5, 3), -4, 1, 9, true, true},
		{"nothing added keeps the tie", Descending, Sum, have(5, 2), 0, 5, 2, false, true},
		{"a sum at the bound", Descending, Sum, have(MaxScore-1, 3), 1, MaxScore, 9, true, true},
		{"a sum past the bound", Descending, Sum, have(MaxScore, 3), 1, MaxScore, 3, false, false},
		{"a sum past the lower bound", Ascending, Sum, have(-MaxScore, 3), -1, -MaxScore, 3, false, false},
	}

	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			after, improved, ok := Fold{Order: c.order, Scoring: c.scoring}.Append(c.before, Single(EntryKey{}, c.score, 9, 0))
			require.Equal(t, []any{c.wantScore, c.wantEvent, c.improved, c.ok}, []any{after.Score, after.Event, improved, ok})
			if c.scoring.Ordered() && ok {
				require.Equal(t, int64(9), after.Last)
			}
		})
	}
}

// The order that the states of an entry come in, and how often, makes no difference.
func TestJoinIsASemilattice(t *testing.T) {
	for _, order := range []Order{Descending, Ascending} {
		for _, scoring := range scorings {
			fold := Fold{Order: order, Scoring: scoring}
			if scoring != Sum && scoring != Count {
				fold.Columns = [MaxColumns]Order{Ascending, Descending}
			}
			rapid.Check(t, func(t *rapid.T) {
				// The states that one history makes: of an ordered scoring, each with an event
				// of its own.
				var states []Standing
				var s Standing
				for i, score := range rapid.SliceOfN(rapid.Int64Range(-3, 3), 3, 10).Draw(t, "scores") {
					event := Single(EntryKey{}, score, int64(i+1), 0)
					for c := range fold.CountColumns() {
						event.Columns[c] = rapid.Int64Range(0, 1).Draw(t, "column")
					}
					if i > 0 && scoring.Ordered() {
						event, _, _ = fold.Append(s, event)
					}
					s = event
					states = append(states, event)
				}

				join := fold.Join
				pick := rapid.SampledFrom(states)
				a, b, c := pick.Draw(t, "a"), pick.Draw(t, "b"), pick.Draw(t, "c")
				require.Equal(t, join(a, b), join(b, a))
				require.Equal(t, join(a, join(b, c)), join(join(a, b), c))
				require.Equal(t, a, join(a, a))
			})
		}
	}
}

func TestBefore(t *testing.T) {
	descending, ascending := Fold{Order: Descending}, Fold{Order: Ascending}
	require.True(t, descending.Before(Standing{Score: 2, Event: 9}, Standing{Score: 1, Event: 1}))
	require.True(t, ascending.Before(Standing{Score: 1, Event: 9}, Standing{Score: 2, Event: 1}))
	require.True(t, ascending.Before(Standing{Score: 1, Event: 1}, Standing{Score: 1, Event: 2}))
	require.False(t, descending.Before(Standing{Score: 1, Event: 1}, Standing{Score: 1, Event: 1}))

	// Most kills, then fewest deaths, then most assists, and then who was there first.
	match := Fold{Order: Descending, Columns: [MaxColumns]Order{Ascending, Descending}}
	of := func(kills, deaths, assists, event int64) Standing {
		return Standing{Score: kills, Columns: Columns{deaths, assists}, Event: event}
	}
	ranked := []Standing{of(9, 9, 0, 9), of(8, 1, 5, 8), of(8, 2, 7, 3), of(8, 2, 6, 1), of(8, 2, 6, 2), of(7, 0, 9, 4)}
	for i, a := range ranked {
		for j, b := range ranked {
			require.Equal(t, i < j, match.Before(a, b), "%v, %v", a, b)
		}
	}
}

// Whatever columns a board has left, and in which order, a submission has them where the log has.
func TestColumnsKeepTheirPlaces(t *testing.T) {
	column := func(name string, order Order) Column { return Column{Name: name, Order: order, Min: -9, Max: 9} }
	board := LiveBoard{Board: Board{Name: "match", Order: Descending, Columns: []Column{column("deaths", Ascending), column("time", Ascending), column("style", Descending)}}}
	first, err := board.ReadColumns(map[string]int64{"deaths": 1, "time": 2, "style": 3})
	require.NoError(t, err)
	require.Equal(t, Columns{1, 2, 3}, first)
	require.Equal(t, Columns{1, 2, -3}, board.Fold().Ranked(first))

	change := func(left []string, columns ...Column) {
		t.Helper()
		configured := board.Board
		configured.Columns = columns
		asked, missing := board.Asked(configured)
		require.Empty(t, missing)
		board.Board, board.LeftOut = board.WithRules(asked), left
	}
	change([]string{"time"}, column("style", Ascending), column("deaths", Descending))
	require.Equal(t, Columns{3, -1}, board.Fold().Ranked(first))
	require.Equal(t, Columns{1, 0, 3}, board.Fold().Submitted(Columns{3, -1}))
	require.Equal(t, 3, board.Fold().CountLogged())
	second, err := board.ReadColumns(map[string]int64{"deaths": 4, "time": 5, "style": 6})
	require.NoError(t, err, "by a client that knows all")
	require.Equal(t, Columns{4, 0, 6}, second)
	require.Equal(t, map[string]int64{"deaths": 1, "style": 3}, board.Named(first))
	_, err = board.ReadColumns(map[string]int64{"deaths": 4})
	require.ErrorContains(t, err, "needs the column style")

	change([]string{"time", "style"}, column("deaths", Descending))
	require.Equal(t, board.Fold(), Board{Order: Descending, Columns: []Column{column("deaths", Descending)}}.Fold(), "it is at its place again")
	require.Equal(t, 1, board.Fold().CountLogged())
	_, missing := board.Asked(Board{Columns: []Column{column("deaths", Ascending), column("style", Ascending)}})
	require.Equal(t, "style", missing)
	wide := column("deaths", Ascending)
	wide.Max = 50
	kept := board.Keeping(Board{Order: Ascending, MaxScore: 7, Columns: []Column{wide}})
	require.Equal(t, []any{Descending, int64(7), Descending, int64(50)}, []any{kept.Order, kept.MaxScore, kept.Columns[0].Order, kept.Columns[0].Max})
}

func TestParseBoards(t *testing.T) {
	boards, err := ParseBoards([]byte(`{"boards": [
		{"name": "speed"},
		{"name": "race_2", "order": "Ascending", "scoring": "Latest", "minScore": -5, "maxScore": 5, "decimals": 3, "shards": 16},
		{"name": "match", "ranks": "Dense", "columns": [{"name": "deaths", "order": "Ascending", "min": 0, "max": 9}, {"name": "time", "decimals": 3}]},
		{"name": "ghosts", "metadata": {"maxBytes": 9, "schema": {"b": 1.50,
			"a": [true]}}}, {"name": "cars", "metadata": {}},
		{"name": "ranked", "submitters": "Servers"}, {"name": "casual", "submitters": "Players"},
		{"name": "signed", "signatures": "Required", "maxImprovement": 50}, {"name": "rating", "scoring": "Latest", "signatures": "None", "maxImprovement": 9007199254740991},
		{"name": "limited", "windows": [{"name": "daily", "schedule": "daily"}],
			"limits": {"perMinute": 5, "cooldownSeconds": 3, "attempts": [{"window": "daily", "max": 7}, {"window": "all", "max": 9}]}},
		{"name": "reviewed", "review": {"when": "Always"}}, {"name": "watched", "review": {"when": "Suspicious", "betterThan": 0, "improvementAbove": 9}},
		{"name": "x", "countsTowardGlobal": false}], "global": {"shards": 4, "maxScore": 9, "direct": false, "ranks": "Competition", "submitters": "Servers"}}`))
	require.NoError(t, err)
	global := Global()
	global.Shards, global.MaxScore, global.Derived, global.Ranks, global.ServersOnly = 4, 9, true, Competition, true
	require.Equal(t, []Board{
		global,
		{Name: "speed", Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore, CountsTowardGlobal: true, Shards: 1, Ranks: Ordinal},
		{Name: "race_2", Order: Ascending, Scoring: Latest, MinScore: -5, MaxScore: 5, Decimals: 3, Shards: 16, Ranks: Ordinal},
		{Name: "match", Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore, CountsTowardGlobal: true, Shards: 1, Ranks: Dense,
			Columns: []Column{{Name: "deaths", Order: Ascending, Max: 9}, {Name: "time", Order: Descending, Min: -MaxScore, Max: MaxScore, Decimals: 3}}},
		{Name: "ghosts", Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore, CountsTowardGlobal: true, Shards: 1, Ranks: Ordinal,
			Metadata: MetadataRules{MaxBytes: 9, Schema: `{"b":1.50,"a":[true]}`}},
		{Name: "cars", Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore, CountsTowardGlobal: true, Shards: 1, Ranks: Ordinal,
			Metadata: MetadataRules{MaxBytes: MaxMetadata}},
		{Name: "ranked", Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore, CountsTowardGlobal: true, Shards: 1, Ranks: Ordinal, ServersOnly: true},
		{Name: "casual", Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore, CountsTowardGlobal: true, Shards: 1, Ranks: Ordinal},
		{Name: "signed", Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore, CountsTowardGlobal: true, Shards: 1, Ranks: Ordinal, Signed: true, MaxImprovement: 50},
		{Name: "rating", Order: Descending, Scoring: Latest, MinScore: -MaxScore, MaxScore: MaxScore, CountsTowardGlobal: true, Shards: 1, Ranks: Ordinal, MaxImprovement: MaxScore},
		{Name: "limited", Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore, CountsTowardGlobal: true, Shards: 1, Ranks: Ordinal,
			Limits:  Limits{PerMinute: 5, Cooldown: 3 * time.Second, Attempts: []Attempts{{"daily", 7}, {AllTime, 9}}},
			Windows: []Window{{Name: "daily", Schedule: "daily", TimeZone: "UTC", Keep: DefaultKeep}}},
		{Name: "reviewed", Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore, CountsTowardGlobal: true, Shards: 1, Ranks: Ordinal, Review: Review{When: ReviewAlways}},
		{Name: "watched", Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore, CountsTowardGlobal: true, Shards: 1, Ranks: Ordinal,
			Review: Review{When: ReviewSuspicious, BetterThan: new(int64), ImprovementAbove: new(int64(9))}},
		{Name: "x", Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore, Shards: 1, Ranks: Ordinal},
	}, boards.All())

	boards, err = ParseBoards([]byte(`{"global": {"signatures": "Required", "review": {"when": "Always"}}}`))
	require.NoError(t, err)
	require.True(t, boards.All()[0].Signed)
	require.Equal(t, ReviewAlways, boards.All()[0].Review.When)

	boards, err = ParseBoards([]byte(`{"global": {"limits": {"cooldownSeconds": 604800, "attempts": [{"window": "all", "max": 1}]}}}`))
	require.NoError(t, err)
	require.Equal(t, Limits{Cooldown: MaxCooldown, Attempts: []Attempts{{AllTime, 1}}}, boards.All()[0].Limits)

	boards, err = ParseBoards([]byte(" \n"))
	require.NoError(t, err)
	require.Equal(t, []Board{Global()}, boards.All())
}

func TestParseBoardsRefuses(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`{"name":"a"},`, MaxBoards+1), ",")
	for file, field := range map[string]string{
		`[]`:                                    "boards",
		`{"boards": [{"name": "a"}]} {}`:        "boards",
		`{"boards": [{"name": "a", "nme": 1}]}`: "boards",
		`{"boards": [{"name": "a", "submitters": "servers"}]}`:                                                                "boards",
		`{"boards": [], "global": {"submitters": ""}}`:                                                                        "boards",
		`{"boards": [{"name": "a", "signatures": "required"}]}`:                                                               "boards",
		`{"boards": [{"name": "a", "signatures": "Required", "submitters": "Servers"}]}`:                                      "signatures",
		`{"boards": [], "global": {"signatures": "Required", "submitters": "Servers"}}`:                                       "signatures",
		`{"boards": [], "global": {"maxImprovement": 1}}`:                                                                     "boards",
		`{"boards": [{"name": "a", "maxImprovement": 0}]}`:                                                                    "maxImprovement",
		`{"boards": [{"name": "a", "maxImprovement": -1}]}`:                                                                   "maxImprovement",
		`{"boards": [{"name": "a", "maxImprovement": 9007199254740992}]}`:                                                     "maxImprovement",
		`{"boards": [{"name": "a", "maxImprovement": 1, "scoring": "First"}]}`:                                                "maxImprovement",
		`{"boards": [{"name": "a", "maxImprovement": 1, "scoring": "Sum"}]}`:                                                  "maxImprovement",
		`{"boards": [{"name": "a", "maxImprovement": 1, "scoring": "Count"}]}`:                                                "maxImprovement",
		`{"boards": [{"name": "a", "limits": {"perMinute": 0}}]}`:                                                             "limits.perMinute",
		`{"boards": [{"name": "a", "limits": {"perMinute": 101}}]}`:                                                           "limits.perMinute",
		`{"boards": [{"name": "a", "limits": {"cooldownSeconds": 0}}]}`:                                                       "limits.cooldownSeconds",
		`{"boards": [{"name": "a", "limits": {"cooldownSeconds": 604801}}]}`:                                                  "limits.cooldownSeconds",
		`{"boards": [{"name": "a", "limits": {"cooldownSeconds": 9223372036854775807}}]}`:                                     "limits.cooldownSeconds",
		`{"boards": [{"name": "a", "limits": {"perHour": 1}}]}`:                                                               "boards",
		`{"boards": [{"name": "a", "limits": {"attempts": [{"window": "all", "max": 0}]}}]}`:                                  "limits.attempts",
		`{"boards": [{"name": "a", "limits": {"attempts": [{"window": "all", "max": 1000001}]}}]}`:                            "limits.attempts",
		`{"boards": [{"name": "a", "limits": {"attempts": [{"window": "daily", "max": 1}]}}]}`:                                "limits.attempts",
		`{"boards": [{"name": "a", "limits": {"attempts": [{"window": "all", "max": 1}, {"window": "all", "max": 1}]}}]}`:     "limits.attempts",
		`{"boards": [], "global": {"direct": false, "limits": {"perMinute": 1}}}`:                                             "limits",
		`{"boards": [{"name": "a", "review": {"when": "Always"}, "limits": {"perMinute": 1}}]}`:                               "limits",
		`{"boards": [{"name": "a", "review": {}}]}`:                                                                           "review.when",
		`{"boards": [{"name": "a", "review": {"when": "always"}}]}`:                                                           "review.when",
		`{"boards": [{"name": "a", "review": {"when": "Suspicious"}}]}`:                                                       "review.when",
		`{"boards": [{"name": "a", "review": {"betterThan": 5}}]}`:                                                            "review.when",
		`{"boards": [{"name": "a", "review": {"when": "Always", "betterThan": 5}}]}`:                                          "review.when",
		`{"boards": [{"name": "a", "review": {"when": "Suspicious", "improvementAbove": 0}}]}`:                                "review.improvementAbove",
		`{"boards": [{"name": "a", "review": {"when": "Suspicious", "improvementAbove": 5}, "scoring": "Sum"}]}`:              "review.improvementAbove",
		`{"boards": [{"name": "a", "review": {"when": "Suspicious", "improvementAbove": 5}, "maxImprovement": 9}]}`:           "review.improvementAbove",
		`{"boards": [], "global": {"review": {"when": "Suspicious", "improvementAbove": 5}}}`:                                 "review.improvementAbove",
		`{"boards": [{"name": "a", "review": {"when": "Suspicious", "betterThan": 9007199254740992}}]}`:                       "review.betterThan",
		`{"boards": [{"name": "a", "review": {"when": "Always"}, "submitters": "Servers"}]}`:                                  "review",
		`{"boards": [], "global": {"review": {"when": "Always"}, "submitters": "Servers"}}`:                                   "review",
		`{"boards": [{"name": "a", "minScore": 1.5}]}`:                                                                        "boards",
		`{"boards": [` + many + `]}`:                                                                                          "boards",
		`{"boards": [{}]}`:                                                                                                    "name",
		`{"boards": [{"name": "global"}]}`:                                                                                    "name",
		`{"boards": [{"name": "A"}]}`:                                                                                         "name",
		`{"boards": [{"name": "-a"}]}`:                                                                                        "name",
		`{"boards": [{"name": "a_"}]}`:                                                                                        "name",
		`{"boards": [{"name": "` + strings.Repeat("a", 41) + `"}]}`:                                                           "name",
		`{"boards": [{"name": "a"}, {"name": "a"}]}`:                                                                          "name",
		`{"boards": [{"name": "a", "order": "Up"}]}`:                                                                          "order",
		`{"boards": [{"name": "a", "scoring": "best"}]}`:                                                                      "scoring",
		`{"boards": [{"name": "a", "minScore": -9007199254740992}]}`:                                                          "minScore",
		`{"boards": [{"name": "a", "maxScore": 9007199254740992}]}`:                                                           "maxScore",
		`{"boards": [{"name": "a", "minScore": 2, "maxScore": 1}]}`:                                                           "minScore",
		`{"boards": [{"name": "a", "shards": 0}]}`:                                                                            "shards",
		`{"boards": [{"name": "a", "shards": 65}]}`:                                                                           "shards",
		`{"boards": [{"name": "a", "decimals": 10}]}`:                                                                         "decimals",
		`{"boards": [{"name": "a", "decimals": -1}]}`:                                                                         "decimals",
		`{"boards": [], "global": {"shards": 0}}`:                                                                             "shards",
		`{"boards": [], "global": {"minScore": 2, "maxScore": 1}}`:                                                            "minScore",
		`{"boards": [], "global": {"scoring": "Sum"}}`:                                                                        "boards",
		`{"boards": [{"name": "a", "order": "Ascending", "countsTowardGlobal": true}]}`:                                       "countsTowardGlobal",
		`{"boards": [{"name": "a", "ranks": "dense"}]}`:                                                                       "ranks",
		`{"boards": [{"name": "a", "ranks": "Dense", "shards": 2}]}`:                                                          "ranks",
		`{"boards": [{"name": "a", "metadata": {"maxBytes": 0}}]}`:                                                            "metadata.maxBytes",
		`{"boards": [{"name": "a", "metadata": {"maxBytes": -1}}]}`:                                                           "metadata.maxBytes",
		`{"boards": [{"name": "a", "metadata": {"maxBytes": 2049}}]}`:                                                         "metadata.maxBytes",
		`{"boards": [{"name": "a", "metadata": {"schema": true}}]}`:                                                           "metadata.schema",
		`{"boards": [{"name": "a", "metadata": {"schema": {"type": "car"}}}]}`:                                                "metadata.schema",
		`{"boards": [{"name": "a", "metadata": {"schema": {"$ref": "file:///etc/passwd"}}}]}`:                                 "metadata.schema",
		`{"boards": [{"name": "a", "metadata": {"bytes": 5}}]}`:                                                               "boards",
		`{"boards": [], "global": {"metadata": {}}}`:                                                                          "boards",
		`{"boards": [{"name": "a", "columns": [{}]}]}`:                                                                        "columns",
		`{"boards": [{"name": "a", "columns": [{"name": "score"}]}]}`:                                                         "columns",
		`{"boards": [{"name": "a", "columns": [{"name": "b"}, {"name": "b"}]}]}`:                                              "columns",
		`{"boards": [{"name": "a", "columns": [{"name": "b", "order": "Up"}]}]}`:                                              "columns",
		`{"boards": [{"name": "a", "columns": [{"name": "b", "min": 2, "max": 1}]}]}`:                                         "columns",
		`{"boards": [{"name": "a", "columns": [{"name": "b", "decimals": 10}]}]}`:                                             "columns",
		`{"boards": [{"name": "a", "scoring": "Sum", "columns": [{"name": "b"}]}]}`:                                           "columns",
		`{"boards": [{"name": "a", "columns": [{"name": "b"}, {"name": "c"}, {"name": "d"}, {"name": "e"}, {"name": "f"}]}]}`: "columns",
	} {
		_, err := ParseBoards([]byte(file))
		var e *Error
		require.ErrorAs(t, err, &e, file)
		require.Equal(t, CodeInvalid, e.Code)
		require.Equal(t, field, e.Field, file)
	}
}

func TestCatalog(t *testing.T) {
	live := func(name string, number int32, active bool) LiveBoard {
		return LiveBoard{Board: Board{Name: name}, Number: number, Season: 1, Active: active}
	}
	c, err := NewCatalog([]LiveBoard{live(GlobalBoard, 1, true), live("a", 2, true), live("old", 3, false)})
	require.NoError(t, err)
	b, err := c.Lookup("a")
	require.NoError(t, err)
	require.Equal(t, int32(2), b.Number)

	for _, name := range []string{"old", "nowhere", ""} {
		_, err = c.Lookup(name)
		require.Equal(t, CodeNoBoard, CodeOf(err))
	}

	b, ok := c.Numbered(3)
	require.True(t, ok)
	require.Equal(t, "old", b.Name)
	_, ok = c.Numbered(4)
	require.False(t, ok)
	require.Equal(t, int32(1), c.Global().Number)

	for _, bad := range [][]LiveBoard{{}, {live("a", 1, true)}, {live(GlobalBoard, 1, true), live("a", 1, true)}, {live(GlobalBoard, 1, true), live(GlobalBoard, 2, true)}} {
		_, err = NewCatalog(bad)
		require.Error(t, err)
	}
}

func TestPageOffset(t *testing.T) {
	for _, c := range []struct{ page, size, want int64 }{
		{1, 10, 0}, {2, 10, 10}, {1, MaxPageSize, 0}, {7, 1, 6},
		{math.MaxInt64, 1, math.MaxInt64 - MaxPageSize}, {math.MaxInt64, MaxPageSize, math.MaxInt64 - MaxPageSize},
	} {
		got, err := PageOffset(c.page, c.size)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	for _, c := range []struct {
		page, size int64
		field      string
	}{{0, 10, "page"}, {-1, 10, "page"}, {1, 0, "page_size"}, {1, MaxPageSize + 1, "page_size"}, {math.MinInt64, 1, "page"}} {
		_, err := PageOffset(c.page, c.size)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, c.field, e.Field)
	}
}

func TestParseDate(t *testing.T) {
	d, err := ParseDate("start_date", "2024-02-29")
	require.NoError(t, err)
	require.Equal(t, Date{2024, time.February, 29}, d)
	require.Equal(t, "2024-02-29", d.String())

	for _, text := range []string{"", "2023-02-29", "2024-13-01", "2024-1-1", "24-01-01", "2024-01-01T00:00:00Z", "0000-01-01", "tomorrow", " 2024-01-01"} {
		_, err := ParseDate("start_date", text)
		var e *Error
		require.ErrorAs(t, err, &e, text)
		require.Equal(t, "start_date", e.Field)
	}
}

func TestReportRange(t *testing.T) {
	day := func(s string) Date {
		d, err := ParseDate("d", s)
		require.NoError(t, err)
		return d
	}

	for _, c := range []struct{ from, to, zone, wantFrom, wantTo string }{
		{"2026-01-01", "2026-01-01", "", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"},
		{"2024-02-28", "2024-02-29", "UTC", "2024-02-28T00:00:00Z", "2024-03-01T00:00:00Z"},
		// 23 and 25 hours.
		{"2026-03-29", "2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"2026-10-25", "2026-10-25", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		// Clocks jump from 00:00 to 01:00: the day begins at 01:00.
		{"2018-11-04", "2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		{"2026-04-24", "2026-04-24", "Africa/Cairo", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"},
		// Clocks go back from 24:00 to 23:00: the day before has 25 hours.
		{"2018-02-17", "2018-02-17", "America/Sao_Paulo", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"},
		// 2011-12-30 did not happen in Samoa.
		{"2011-12-29", "2011-12-31", "Pacific/Apia", "2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z"},
		{"2011-12-30", "2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"},
	} {
		from, to, err := ReportQuery{From: day(c.from), To: day(c.to), TimeZone: c.zone, Limit: 1}.Range()
		require.NoError(t, err)
		require.Equal(t, c.wantFrom, from.UTC().Format(time.RFC3339), c)
		require.Equal(t, c.wantTo, to.UTC().Format(time.RFC3339), c)
	}

	for field, q := range map[string]ReportQuery{
		"time_zone": {From: day("2026-01-01"), To: day("2026-01-01"), TimeZone: "Mars/Olympus", Limit: 1},
		"end_date":  {From: day("2026-01-02"), To: day("2026-01-01"), Limit: 1},
		"limit":     {From: day("2026-01-01"), To: day("2026-01-01"), Limit: 0},
	} {
		_, _, err := q.Range()
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, field, e.Field)
	}

	_, _, err := ReportQuery{From: day("2026-01-01"), To: day("2026-01-01"), TimeZone: "Local", Limit: 1}.Range()
	require.Equal(t, CodeInvalid, CodeOf(err))
	_, _, err = ReportQuery{From: day("2000-01-01"), To: day("2026-01-01"), Limit: 1}.Range()
	require.Equal(t, CodeInvalid, CodeOf(err))
	_, _, err = ReportQuery{From: day("2000-01-01"), To: day("2001-01-01"), Limit: MaxReportLimit + 1}.Range()
	require.Equal(t, CodeInvalid, CodeOf(err))
}

func TestPasswords(t *testing.T) {
	for _, ok := range []string{"12345678", strings.Repeat("x", MaxPassword), "pässword"} {
		require.NoError(t, CheckPassword(ok))
	}

	for _, bad := range []string{"", "1234567", strings.Repeat("x", MaxPassword+1), strings.Repeat("é", 37), "1234567\xff"} {
		require.Error(t, CheckPassword(bad))
	}
}

func TestFingerprintsAndKeys(t *testing.T) {
	a := Submission{Board: "a", Score: 1}
	require.Equal(t, a.Fingerprint(), Submission{Board: "a", Score: 1, Player: "p", IdempotencyKey: "k"}.Fingerprint())
	for _, b := range []Submission{{Board: "a", Score: 2}, {Board: "b", Score: 1}, {Board: "", Score: 1}, {Board: "aa", Score: 1}, {Board: "a", Score: -1}} {
		require.NotEqual(t, a.Fingerprint(), b.Fingerprint())
	}

	require.NoError(t, CheckIdempotencyKey("Idempotency-Key", ""))
	require.NoError(t, CheckIdempotencyKey("Idempotency-Key", strings.Repeat("k", MaxIdempotencyKey)))
	for _, bad := range []string{strings.Repeat("k", MaxIdempotencyKey+1), "a\nb", "é", "\x00"} {
		require.Error(t, CheckIdempotencyKey("Idempotency-Key", bad))
	}
}
