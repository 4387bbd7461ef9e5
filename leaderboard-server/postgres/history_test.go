package postgres_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// plainHistory is a player's history straight from the log: what every history equals.
func (h *history) plainHistory(t *testing.T, q leaderboard.HistoryQuery) []leaderboard.HistoryEvent {
	t.Helper()
	if q.To.IsZero() {
		q.To = time.Now().AddDate(1, 0, 0)
	}
	rows, err := h.conn.Query(t.Context(), `SELECT id, score, columns, at, board FROM score_events
		WHERE player = $1 AND at >= $2 AND at < $3 AND CASE WHEN $4 = 1 THEN global_season IS NOT NULL ELSE board = $4 END
		ORDER BY at DESC, id DESC`, q.Player, q.From, q.To, q.Board.Number)
	require.NoError(t, err)
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e leaderboard.HistoryEvent, err error) {
		var columns []int64
		err = row.Scan(&e.Number, &e.Score, &columns, &e.At, &e.Board)
		copy(e.Columns[:], columns)
		e.At = e.At.UTC()
		return e, err
	})
	require.NoError(t, err)
	return events
}

// readHistory reads a history to its end, in parts, some as small as where a day has very
// many events.
func (h *history) readHistory(t *testing.T, q leaderboard.HistoryQuery) (events []leaderboard.HistoryEvent) {
	t.Helper()
	for parts := 0; ; parts++ {
		require.Less(t, parts, 10_000, "every part goes on")
		read := h.Ledger.History
		if h.random.IntN(2) == 0 {
			read = h.Ledger.HistoryInSmallParts
		}
		part, err := read(t.Context(), q)
		require.NoError(t, err)
		require.LessOrEqual(t, len(part.Events), q.Limit)
		require.False(t, part.Since.After(h.first), "the log begins with the first events")
		events = append(events, part.Events...)
		if q.Before = part.Next; part.Next == nil {
			return events
		}
	}
}

// Whatever is rolled up, and however large the parts are, a history is the player's events
// of the log, the newest first.
func TestHistoryIsTheLog(t *testing.T) {
	const players = 20
	h := newHistory(t, 75, players, 6_000)
	boards := h.Catalog.All()
	h.exec(t, "DELETE FROM score_events WHERE at > now()")

	check := func(t *testing.T) {
		t.Helper()
		for range 25 {
			q := leaderboard.HistoryQuery{Board: boards[h.random.IntN(len(boards))], Player: 1 + h.random.Int64N(players), Limit: []int{1, 2, 7, 50, 1000}[h.random.IntN(5)]}
			if h.random.IntN(3) == 0 {
				q.From = h.first.Add(time.Duration(h.random.Int64N(int64(60 * 24 * time.Hour))))
				q.To = q.From.Add(time.Duration(h.random.Int64N(int64(20 * 24 * time.Hour))))
			}
			want, got := h.plainHistory(t, q), h.readHistory(t, q)
			require.Equal(t, len(want), len(got), "player %d on %s from %s to %s by %d", q.Player, q.Board.Name, q.From, q.To, q.Limit)
			if len(want) > 0 {
				require.Equal(t, want, got)
			}
		}
	}

	t.Run("nothing is rolled up", check)
	since := h.first.AddDate(0, 0, -1) // every eighth event is at a midnight or just before
	h.setProgress(t, since, since)
	require.NoError(t, h.Ledger.Maintain(t.Context()))
	t.Run("days and months are", check)
	recently := h.today.AddDate(0, 0, -8)
	h.setRecent(t, recently, recently, recently)
	require.NoError(t, h.Ledger.RollUpRecent(t.Context()))
	t.Run("quarter hours are", check)

	t.Run("rollups are behind", func(t *testing.T) {
		h.setProgress(t, h.first.AddDate(0, 0, 20), h.today.AddDate(0, 0, -9))
		since, _, quarters := h.recent(t)
		h.setRecent(t, since, since.Add(30*time.Hour), quarters.Add(-7*time.Hour))
		check(t)
	})
}

// What is stored is in the history at once, and what a season is asked for is bounded by
// its time.
func TestHistoryHasWhatWasJustStored(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	players := f.Players(t, 2)
	for i := range 5 {
		for _, board := range []string{"speed", "race"} {
			store(t, f.Ledger, ledgertest.Submission(players[0], board, int64(i)), ledgertest.Submission(players[1], board, 100))
		}
	}

	read := func(board string, change func(*leaderboard.HistoryQuery)) (scores []int64, part leaderboard.HistoryPart) {
		q := leaderboard.HistoryQuery{Board: f.Board(t, board), Player: players[0].Number, Limit: 100}
		if change != nil {
			change(&q)
		}
		part, err := f.Ledger.History(t.Context(), q)
		require.NoError(t, err)
		for _, e := range part.Events {
			scores = append(scores, e.Score)
		}
		return scores, part
	}

	scores, part := read("race", nil)
	require.Equal(t, []int64{4, 3, 2, 1, 0}, scores)
	require.Nil(t, part.Next)
	month := part.Events[0].At.AddDate(0, 0, 1-part.Events[0].At.Day()).Truncate(24 * time.Hour)
	require.Equal(t, month, part.Since, "partitions begin with the month in which the schema was made")
	scores, _ = read(leaderboard.GlobalBoard, nil)
	require.Equal(t, []int64{4, 3, 2, 1, 0}, scores, "race is ascending and does not count there")

	second, fourth := part.Events[3].At, part.Events[1].At
	scores, _ = read("race", func(q *leaderboard.HistoryQuery) { q.From, q.To = second, fourth })
	require.Equal(t, []int64{2, 1}, scores)
	scores, _ = read("race", func(q *leaderboard.HistoryQuery) { q.To = part.Since.AddDate(-1, 0, 0) })
	require.Empty(t, scores)
}

// What retention has dropped is in no history, and the answer says so.
func TestHistoryAfterRetention(t *testing.T) {
	f := newFixture(t, postgres.Options{EventRetention: 24 * time.Hour})
	conn := f.Connect(t)
	player, board := f.Players(t, 1)[0], f.Board(t, "speed")
	for _, sql := range []string{
		"CREATE TABLE score_events_202001 PARTITION OF score_events FOR VALUES FROM ('2020-01-01+00') TO ('2020-02-01+00')",
		"ALTER TABLE score_events_202001 OWNER TO " + pgx.Identifier{f.Owner}.Sanitize(),
		"UPDATE report_progress SET days_until = now() AT TIME ZONE 'UTC', since = '2020-02-01'",
		fmt.Sprintf("INSERT INTO score_events (id, at, player, score, board) VALUES (nextval('event_ids'), '2020-01-15+00', %d, 5, %d)", player.Number, board.Number),
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	store(t, f.Ledger, ledgertest.Submission(player, "speed", 6))

	query := leaderboard.HistoryQuery{Board: board, Player: player.Number, Limit: 10}
	part, err := f.Ledger.History(t.Context(), query)
	require.NoError(t, err)
	require.Len(t, part.Events, 2)
	require.Equal(t, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), part.Since)

	ledgertest.SaveStandings(t, f.Ledger)
	require.NoError(t, f.Ledger.Maintain(t.Context()))
	part, err = f.Ledger.History(t.Context(), query)
	require.NoError(t, err)
	require.Len(t, part.Events, 1)
	require.Greater(t, part.Since.Year(), 2020)
}

// However many histories are asked for, and however long they take, they use one
// connection together with reports, and submissions find theirs.
func TestHistoriesLeaveSubmissionsTheirConnections(t *testing.T) {
	const callers, inside, queue = 100, 1, 32
	f := newFixture(t, postgres.Options{MaxConnections: 8, Timeout: 5 * time.Minute})
	player, board := f.Players(t, 1)[0], f.Board(t, "race")
	conn := f.Connect(t)
	held, err := f.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), "LOCK TABLE report_progress IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	var group sync.WaitGroup
	var busy, answered atomic.Int64
	for range callers {
		group.Go(func() {
			_, err := f.Ledger.History(t.Context(), leaderboard.HistoryQuery{Board: board, Player: player.Number, Limit: 10})
			switch leaderboard.CodeOf(err) {
			case leaderboard.CodeBusy:
				busy.Add(1)
			case "":
				answered.Add(1)
			default:
				t.Error(err)
			}
		})
	}

	require.Eventually(t, func() bool { return busy.Load() == callers-inside-queue && waiting(t, f, conn) == inside }, time.Minute, 5*time.Millisecond)
	for i := range 20 {
		store(t, f.Ledger, ledgertest.Submission(player, "race", int64(i)))
	}
	require.NoError(t, held.Rollback(t.Context()))
	group.Wait()
	require.Equal(t, int64(inside+queue), answered.Load())
}

// One that PostgreSQL does not answer in time says so.
func TestHistoryTakesNoLongerThanItMay(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	player, board := f.Players(t, 1)[0], f.Board(t, "race")
	held, err := f.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), "LOCK TABLE report_progress IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	hasty := f.Open(t, postgres.Options{Timeout: 3 * time.Second})
	_, err = hasty.History(t.Context(), leaderboard.HistoryQuery{Board: board, Player: player.Number, Limit: 10})
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err), "%v", err)
}
