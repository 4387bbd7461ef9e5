package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// timesOf are the times of all events of the log.
func timesOf(t *testing.T, conn *pgx.Conn) map[int64]time.Time {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT id, at FROM score_events")
	require.NoError(t, err)
	times := map[int64]time.Time{}
	var id int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error { times[id] = at.UTC(); return nil })
	require.NoError(t, err)
	return times
}

// The time of an entry is that of its event: from the log, then from the standings, where it
// outlives the log.
func TestReachedAtIsTheTimeOfTheEvent(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn := f.Connect(t)
	player := f.Players(t, 1)[0]
	var queries []leaderboard.ReachedQuery
	for _, c := range []struct {
		board  string
		scores []int64
		tie    int // which of the submissions reached the score
	}{
		{"speed", []int64{5, 9, 9, 3}, 1}, {"race", []int64{5, 3, 3, 9}, 1}, {"debut", []int64{5, 9, 3}, 0},
		{"mood", []int64{5, 7, 7}, 1}, {"coins", []int64{5, 7, 0}, 1}, {"plays", []int64{5, 5, 5}, 2},
	} {
		var events []int64
		for _, score := range c.scores {
			events = append(events, store(t, f.Ledger, ledgertest.Submission(player, c.board, score)).Outcomes[0].Event)
		}
		queries = append(queries, leaderboard.ReachedQuery{Board: f.Board(t, c.board),
			RankingEntry: leaderboard.RankingEntry{Rank: 1, Player: player.Number, Event: events[c.tie]}})
	}
	global := queries[0]
	global.Board = f.Board(t, leaderboard.GlobalBoard)
	queries = append(queries, global)
	times := timesOf(t, conn)

	check := func(when string) {
		t.Helper()
		got, err := f.Ledger.ReachedAt(t.Context(), queries)
		require.NoError(t, err)
		require.Len(t, got, len(queries))
		for i, q := range queries {
			require.Equal(t, times[q.Event], got[i], "%s: %s", when, q.Board.Name)
		}
	}
	check("behind the checkpoint")
	ledgertest.SaveStandings(t, f.Ledger)
	check("at the checkpoint")
	better := store(t, f.Ledger, ledgertest.Submission(player, "speed", 100)).Outcomes[0].Event
	times = timesOf(t, conn)
	queries[0].Event = better
	check("newer than the checkpoint")
	ledgertest.SaveStandings(t, f.Ledger)
	queries[len(queries)-1].Event = better
	_, err := conn.Exec(t.Context(), "DELETE FROM score_events")
	require.NoError(t, err)
	check("without the log")
}

// What is not known is not guessed: a standing that was written by a server that knows no
// times, or an entry that is not in the ledger as it is in the ranking.
func TestReachedAtIsNotGuessed(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn := f.Connect(t)
	player := f.Players(t, 1)[0]
	first := store(t, f.Ledger, ledgertest.Submission(player, "speed", 5)).Outcomes[0].Event
	same := store(t, f.Ledger, ledgertest.Submission(player, "mood", 5)).Outcomes[0].Event
	ledgertest.SaveStandings(t, f.Ledger)
	_, err := conn.Exec(t.Context(), "UPDATE standings SET event = event + 1000, xid = pg_current_xact_id()")
	require.NoError(t, err)

	reached := func(board string, event int64) time.Time {
		t.Helper()
		got, err := f.Ledger.ReachedAt(t.Context(), []leaderboard.ReachedQuery{{Board: f.Board(t, board), RankingEntry: leaderboard.RankingEntry{Rank: 1, Player: player.Number, Event: event}}})
		require.NoError(t, err)
		return got[0]
	}
	require.Zero(t, reached("speed", first+1000), "written by another version")
	require.Zero(t, reached("speed", first), "no longer the standing")
	require.Zero(t, reached("speed", 1<<40), "of no event")

	// The same score keeps the event, whose time is not known; another one has its own.
	_, err = conn.Exec(t.Context(), "UPDATE standings SET event = $1, last_event = $1 WHERE event = $1 + 1000", same)
	require.NoError(t, err)
	store(t, f.Ledger, ledgertest.Submission(player, "mood", 5))
	require.Zero(t, reached("mood", same))
	changed := store(t, f.Ledger, ledgertest.Submission(player, "mood", 6)).Outcomes[0].Event
	require.Equal(t, timesOf(t, conn)[changed], reached("mood", changed))
}

// Windows whose scoring is not ordered have no standings: the season's events are read.
func TestReachedAtInWindows(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn := f.Connect(t)
	player, board := f.Players(t, 1)[0], f.Board(t, "speed")
	best := store(t, f.Ledger, ledgertest.Submission(player, "speed", 9)).Outcomes[0].Event
	second := store(t, f.Ledger, ledgertest.Submission(player, "speed", 5)).Outcomes[0].Event
	ledgertest.SaveStandings(t, f.Ledger)
	times := timesOf(t, conn)

	season := leaderboard.Season{Number: 2, Window: "daily", Opens: times[second], Closes: times[second].Add(time.Hour)}
	query := func(event int64) []leaderboard.ReachedQuery {
		return []leaderboard.ReachedQuery{{Board: board.In(season.Number), Season: season, RankingEntry: leaderboard.RankingEntry{Rank: 1, Player: player.Number, Event: event}}}
	}
	got, err := f.Ledger.ReachedAt(t.Context(), query(second))
	require.NoError(t, err)
	require.Equal(t, []time.Time{times[second]}, got)
	got, err = f.Ledger.ReachedAt(t.Context(), query(best))
	require.NoError(t, err)
	require.Equal(t, []time.Time{times[best]}, got, "the standing of all time is of this event")

	// A page does not wait for what takes long.
	held, err := f.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), "LOCK TABLE standings IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	got, err = f.Ledger.ReachedAt(t.Context(), query(second))
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
	require.Equal(t, []time.Time{{}}, got)
}

// The migration waits for who reads standings, and who writes them does not wait for it.
func TestReachedAtIsMigratedBesideReaders(t *testing.T) {
	f := ledgertest.NewAt(t, server, 10, postgres.Options{})
	writer, owner := f.Connect(t), f.Connect(t)
	reader, err := f.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), "SELECT FROM standings")
	require.NoError(t, err)
	_, err = owner.Exec(t.Context(), "SET ROLE "+pgx.Identifier{f.Owner}.Sanitize())
	require.NoError(t, err)

	migrated := make(chan error, 1)
	go func() { migrated <- postgres.Migrate(context.Background(), owner, f.Schema) }()
	conn := f.Connect(t)
	require.Eventually(t, func() bool { return waiting(t, f, conn) == 1 }, time.Minute, time.Millisecond)
	_, err = writer.Exec(t.Context(), "SET lock_timeout = '20s'")
	require.NoError(t, err)
	_, err = writer.Exec(t.Context(), "UPDATE standings SET version = version + 1")
	require.NoError(t, err, "the migration lets go")

	require.NoError(t, reader.Rollback(t.Context()))
	require.NoError(t, <-migrated)
}
