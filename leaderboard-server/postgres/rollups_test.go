package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// history is a ledger with random events in the days up to now.
type history struct {
	*ledgertest.Fixture
	conn   *pgx.Conn
	random *rand.Rand
	// first is the first day with events, today the day that is not over.
	first, today time.Time
}

// eventOrder says how the numbers of events go with their times. They nearly always go up
// with them; not where transactions overlap, or a clock was set back.
type eventOrder int

const (
	inOrder eventOrder = iota
	// nearly: not within half an hour.
	nearly
	shuffled
	eventOrders
)

// newHistory stores about as many events as asked for, in any order.
func newHistory(t *testing.T, days, players, events int) *history {
	t.Helper()
	return newOrderedHistory(t, eventOrder(rand.IntN(int(eventOrders))), days, players, events)
}

// newOrderedHistory stores about as many events as asked for. Players come back, scores
// are often equal, and every eighth event is at a midnight or just before. There is a board of
// every scoring in both orders: speed and race are those of Best.
func newOrderedHistory(t *testing.T, order eventOrder, days, players, events int) *history {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, order %d", seed, order)
	h := &history{Fixture: ledgertest.New(t, server, reportBoards(t), postgres.Options{}), random: rand.New(rand.NewPCG(seed, 0))}
	h.conn = h.Connect(t)
	var now time.Time
	require.NoError(t, h.conn.QueryRow(t.Context(), "SELECT now()").Scan(&now))
	h.today = now.UTC().Truncate(24 * time.Hour)
	h.first = h.today.AddDate(0, 0, -days)

	// Some months have partitions, as in a ledger that is older than today.
	for month := time.Date(h.first.Year(), h.first.Month()+1, 1, 0, 0, 0, 0, time.UTC); month.Before(h.today.AddDate(0, 0, 1-h.today.Day())); month = month.AddDate(0, 1, 0) {
		name := "score_events_" + month.Format("200601")
		h.exec(t, fmt.Sprintf("CREATE TABLE %s PARTITION OF score_events FOR VALUES FROM ('%s+00') TO ('%s+00')", name, month.Format(time.DateOnly), month.AddDate(0, 1, 0).Format(time.DateOnly)))
		h.exec(t, "ALTER TABLE "+name+" OWNER TO "+pgx.Identifier{h.Owner}.Sanitize())
	}

	h.insert(t, order, h.Players(t, players), days, events)
	return h
}

// reportBoards are a board of each scoring in both orders.
func reportBoards(t *testing.T) leaderboard.Boards {
	t.Helper()
	var list []leaderboard.Board
	for _, scoring := range []leaderboard.Scoring{leaderboard.Best, leaderboard.First, leaderboard.Latest, leaderboard.Sum, leaderboard.Count} {
		for name, order := range map[string]leaderboard.Order{"descending": leaderboard.Descending, "ascending": leaderboard.Ascending} {
			board := leaderboard.Board{Name: strings.ToLower(string(scoring)) + "-" + name, Order: order, Scoring: scoring,
				MinScore: -leaderboard.MaxScore, MaxScore: leaderboard.MaxScore, CountsTowardGlobal: order == leaderboard.Descending, Shards: 1, Ranks: leaderboard.Ordinal}
			if scoring == leaderboard.Best {
				board.Name = map[leaderboard.Order]string{leaderboard.Descending: "speed", leaderboard.Ascending: "race"}[order]
			}
			list = append(list, board)
		}
	}

	boards, err := leaderboard.NewBoards(list...)
	require.NoError(t, err)
	return boards
}

func (h *history) insert(t *testing.T, order eventOrder, players []leaderboard.PlayerName, days, events int) {
	t.Helper()
	boards := h.Catalog.All()
	busy := h.random.IntN(days)
	rows := make([][]any, events)
	numbered := make(map[int]time.Time, events) // when each event was, as far as its number tells
	for i := range rows {
		day, board := h.random.IntN(days+1), boards[h.random.IntN(len(boards))]
		player, score := players[h.random.IntN(len(players))], h.random.Int64N(2001)-1000
		if i%3 == 0 { // more players than a rollup of one day names
			day, board = busy, h.Board(t, "speed")
		} else if board.Scoring != leaderboard.Best { // often the same player, with the same score
			player, score = players[h.random.IntN(min(len(players), 70))], h.random.Int64N(5)-2
		}

		at := h.first.AddDate(0, 0, day).Add(time.Duration(h.random.Int64N(int64(24 * time.Hour))))
		if i%8 == 0 {
			at = h.first.AddDate(0, 0, day).Add(-time.Duration(h.random.IntN(2)) * time.Microsecond)
		}
		numbered[i] = at
		switch order {
		case nearly:
			numbered[i] = at.Add(time.Duration(h.random.Int64N(int64(30 * time.Minute))))
		case shuffled:
			numbered[i] = at.Add(time.Duration(h.random.Int64N(int64(24*time.Hour) * int64(days))))
		}

		var global any
		if board.CountsTowardGlobal {
			global = 1
		}
		rows[i] = []any{nil, at, player.Number, score, board.Number, 1, global, true, nil} // as from before there was a log: the standings are not of these
	}

	places := h.random.Perm(events)
	slices.SortStableFunc(places, func(a, b int) int { return numbered[a].Compare(numbered[b]) })
	for number, i := range places {
		rows[i][0] = int64(number + 1)
	}

	_, err := h.conn.CopyFrom(t.Context(), pgx.Identifier{"score_events"},
		[]string{"id", "at", "player", "score", "board", "season", "global_season", "improved", "xid"}, pgx.CopyFromRows(rows))
	require.NoError(t, err)
}

func (h *history) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := h.conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err, sql)
}

// setProgress says that the days from since to before until are rolled up, and
// their whole months.
func (h *history) setProgress(t *testing.T, since, until time.Time) {
	t.Helper()
	for _, table := range []string{"report_progress", "report_fold_progress"} {
		h.exec(t, "UPDATE "+table+` SET since = $1, days_until = $2, months_until = greatest(
			date_trunc('month', ($1::date + interval '1 month' - interval '1 day')), date_trunc('month', $2::date::timestamp))`, since, until)
	}
}

// setRecent says that the quarter hours from since to before until are rolled up, and
// those of the whole hours before hours.
func (h *history) setRecent(t *testing.T, since, hours, until time.Time) {
	t.Helper()
	for _, table := range []string{"report_recent_progress", "report_recent_fold_progress"} {
		h.exec(t, "UPDATE "+table+" SET since = $1, hours_until = $2, quarters_until = $3", since, hours, until)
	}
}

// recent is how far quarter hours are rolled up: those of all kinds are, as far.
func (h *history) recent(t *testing.T) (since, hours, quarters time.Time) {
	t.Helper()
	require.NoError(t, h.conn.QueryRow(t.Context(), "SELECT since, hours_until, quarters_until FROM report_recent_progress NATURAL JOIN report_recent_fold_progress").Scan(&since, &hours, &quarters))
	return since.UTC(), hours.UTC(), quarters.UTC()
}

// daysUntil is how far days are rolled up, of all kinds.
func (h *history) daysUntil(t *testing.T) (until time.Time) {
	t.Helper()
	require.NoError(t, h.conn.QueryRow(t.Context(), "SELECT days_until FROM report_progress NATURAL JOIN report_fold_progress").Scan(&until))
	return until
}

var zones = []string{"UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "America/St_Johns"}

// requirePlain compares n random reports with the plain answer.
func (h *history) requirePlain(t *testing.T, n int) {
	t.Helper()
	boards := h.Catalog.All()
	days := int(h.today.Sub(h.first).Hours() / 24)

	for range n {
		board := boards[h.random.IntN(len(boards))]
		first := h.first.AddDate(0, 0, h.random.IntN(days+10)-5)
		last := first.AddDate(0, 0, h.random.IntN(days+5))
		if h.random.IntN(2) == 0 { // lately
			first = h.today.AddDate(0, 0, -h.random.IntN(12))
			last = first.AddDate(0, 0, h.random.IntN(12))
		}

		limit := []int{1, 2, 10, 63, 64, 65, 1 + h.random.IntN(leaderboard.MaxReportLimit), leaderboard.MaxReportLimit}[h.random.IntN(8)]
		date := func(t time.Time) leaderboard.Date {
			return leaderboard.Date{Year: t.Year(), Month: t.Month(), Day: t.Day()}
		}

		query := leaderboard.ReportQuery{From: date(first), To: date(last), TimeZone: zones[h.random.IntN(len(zones))], Limit: limit}
		from, to, err := query.Range()
		require.NoError(t, err)

		if h.random.IntN(4) == 0 { // no zone's day
			from, to = from.Add(time.Duration(h.random.Int64N(int64(time.Hour)))), to.Add(time.Duration(h.random.Int64N(int64(time.Hour))))
		}

		h.requirePlainReport(t, board, from, to, limit)
	}
}

func (h *history) requirePlainReport(t *testing.T, board leaderboard.LiveBoard, from, to time.Time, limit int) []leaderboard.ReportRow {
	t.Helper()
	want, err := ledgertest.PlainTopPlayers(t.Context(), h.conn, board, from, to, limit)
	require.NoError(t, err)
	got, err := h.Ledger.TopPlayers(t.Context(), board, from, to, limit)
	require.NoError(t, err)
	require.Equal(t, want, got, "board %s from %s to %s limit %d", board.Name, from, to, limit)
	return got
}

// Whatever is rolled up, a report is the plain answer.
func TestReportsEqualThePlainAnswer(t *testing.T) {
	for order, name := range []string{inOrder: "events in order", nearly: "events nearly in order", shuffled: "events in no order"} {
		t.Run(name, func(t *testing.T) { testReports(t, eventOrder(order)) })
	}
}

func testReports(t *testing.T, order eventOrder) {
	const days = 130
	h := newOrderedHistory(t, order, days, 1500, 12_000)
	h.requirePlain(t, 20)
	since := h.first.AddDate(0, 0, h.random.IntN(40))
	h.setProgress(t, since, since)
	h.closeDays(t)
	h.requirePlain(t, 60)

	for range 6 {
		h.setProgress(t, since, since.AddDate(0, 0, h.random.IntN(days-40)))
		h.requirePlain(t, 15)
	}

	require.NoError(t, h.Ledger.Maintain(t.Context()))
	h.requirePlain(t, 60)

	// The same for the quarter hours of the last days, and those of the running day.
	recentDays := 8
	if order != inOrder { // quicker
		recentDays = 2
	}
	recently := h.today.AddDate(0, 0, -recentDays)
	h.setRecent(t, recently, recently, recently)
	require.NoError(t, h.Ledger.RollUpRecent(t.Context()))
	_, hours, quarters := h.recent(t)
	require.False(t, quarters.Before(h.today.Add(-15*time.Minute)))
	require.Equal(t, quarters.Truncate(time.Hour), hours)
	h.requirePlain(t, 100)

	for range 6 {
		first := recently.AddDate(0, 0, h.random.IntN(recentDays))
		last := first.Add(time.Duration(h.random.Int64N(int64(quarters.Sub(first)))))
		h.setRecent(t, first, latest(first, last.Add(-time.Hour).Truncate(time.Hour)), last.Truncate(15*time.Minute))
		h.requirePlain(t, 15)
	}

	require.NoError(t, h.Ledger.RollUpRecent(t.Context()))
	h.requirePlain(t, 60)

	// A rollup alone answers for whole days: its events are not read.
	h.exec(t, "CREATE TABLE kept AS SELECT * FROM score_events")
	h.requireRollups(t, order, since.AddDate(0, 0, 1), h.today.AddDate(0, 0, -1))

	// So do those of quarter hours and hours, for the running day of any time zone.
	h.setRecent(t, recently, recently, recently)
	require.NoError(t, h.Ledger.RollUpRecent(t.Context()))
	_, _, until := h.recent(t)
	h.requireRollups(t, order, h.today.AddDate(0, 0, -1).Add(18*time.Hour+15*time.Minute), until) // from Kathmandu's midnight

	// Retention drops events and their rollups.
	keeps := h.Open(t, postgres.Options{EventRetention: 50 * 24 * time.Hour})
	require.NoError(t, keeps.Maintain(t.Context()))
	var oldest, oldestTop, oldestCount, oldestFold time.Time
	require.NoError(t, h.conn.QueryRow(t.Context(), `SELECT date_trunc('month', (SELECT min(at) FROM score_events) AT TIME ZONE 'UTC'),
		(SELECT min(start) FROM report_tops), (SELECT min(start) FROM report_counts), (SELECT min(start) FROM report_folds)`).
		Scan(&oldest, &oldestTop, &oldestCount, &oldestFold))
	require.True(t, oldest.After(since), "something was dropped")
	require.Equal(t, oldest.UTC(), oldestTop)
	require.Equal(t, oldest.UTC(), oldestCount)
	require.Equal(t, oldest.UTC(), oldestFold)
	h.requirePlain(t, 60)
}

// requireRollups checks that the reports of a range do not need its events, which are kept
// in a table of that name. Without their order, rollups do not tell all of Latest.
func (h *history) requireRollups(t *testing.T, order eventOrder, from, to time.Time) {
	t.Helper()
	want := make(map[string][]leaderboard.ReportRow)
	for _, board := range h.Catalog.All() {
		want[board.Name] = h.requirePlainReport(t, board, from, to, 100)
	}

	h.exec(t, "DELETE FROM score_events WHERE at >= $1 AND at < $2", from, to)
	rows := 0
	for _, board := range h.Catalog.All() {
		if board.Scoring == leaderboard.Latest && order != inOrder {
			continue
		}
		got, err := h.Ledger.TopPlayers(t.Context(), board, from, to, 100)
		require.NoError(t, err)
		require.Equal(t, want[board.Name], got, board.Name)
		rows += len(got) // a board may have none in a short range
	}
	require.NotZero(t, rows)

	h.exec(t, "DELETE FROM score_events")
	h.exec(t, "INSERT INTO score_events SELECT * FROM kept")
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// A clock that was set back gives events to quarter hours that were over before: they
// are rolled up again. What is older than reports need goes.
func TestQuartersAfterTheClockWasSetBack(t *testing.T) {
	h := newHistory(t, 12, 20, 2000)
	h.setProgress(t, h.today, h.today)
	oldest := h.today.AddDate(0, 0, -8)
	h.setRecent(t, oldest.AddDate(0, 0, -2), oldest, oldest.Add(time.Hour))
	require.NoError(t, h.Ledger.RollUpRecent(t.Context()))
	since, _, quarters := h.recent(t)
	require.Equal(t, oldest, since)

	ahead := quarters.Add(3 * time.Hour).Truncate(time.Hour)
	h.setRecent(t, since, ahead, ahead)
	player := h.Players(t, 1)[0]
	store(t, h.Ledger, ledgertest.Submission(player, "speed", leaderboard.MaxScore))
	require.NoError(t, h.Ledger.RollUpRecent(t.Context()))
	_, hours, quarters := h.recent(t)
	require.True(t, hours.Before(ahead) && quarters.Before(ahead))
	rows := h.requirePlainReport(t, h.Board(t, "speed"), h.today, h.today.AddDate(0, 0, 2), 10)
	require.Equal(t, player.ID, rows[0].Player)
	h.requirePlain(t, 30)

	// Days later.
	tables := []string{"report_recent_tops", "report_recent_counts", "report_recent_folds"}
	for _, table := range tables {
		h.exec(t, "UPDATE "+table+" SET start = start - interval '3 days'")
	}
	require.NoError(t, h.Ledger.RollUpRecent(t.Context()))
	for _, table := range tables {
		var old int
		require.NoError(t, h.conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table+" WHERE start < $1", since).Scan(&old))
		require.Zero(t, old, table)
	}
}

// A quarter hour is closed when the transactions that ran in it have ended.
func TestAQuarterIsClosedWhenItsTransactionsHaveEnded(t *testing.T) {
	h := newHistory(t, 3, 10, 100)
	since := h.today.AddDate(0, 0, -1)
	h.setProgress(t, h.today, h.today)
	h.setRecent(t, since, since, since)
	tx, err := h.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	player, board := h.Players(t, 1)[0], h.Board(t, "speed")
	_, err = tx.Exec(t.Context(), "INSERT INTO score_events (id, at, player, score, board, season, improved) VALUES (5000, $1, $2, 99999, $3, 1, true)",
		since.Add(time.Hour), player.Number, board.Number)
	require.NoError(t, err)

	attempt, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	require.ErrorContains(t, h.Ledger.RollUpRecent(attempt), "that might add scores")
	_, _, quarters := h.recent(t)
	require.Equal(t, since, quarters)

	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, h.Ledger.RollUpRecent(t.Context()))
	_, _, quarters = h.recent(t)
	require.True(t, quarters.After(since))
	require.Equal(t, player.ID, h.requirePlainReport(t, board, since, h.today.AddDate(0, 0, 1), 5)[0].Player)
}

func TestUntilRollUp(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 2, 0, 0, time.UTC)
	require.Equal(t, 15*time.Minute, postgres.UntilRollUp(at))
	require.Equal(t, time.Second, postgres.UntilRollUp(at.Add(-time.Second)))
	require.Equal(t, 2*time.Minute, postgres.UntilRollUp(at.Add(13*time.Minute)))
}

// closeDays rolls up every day that can be, and checks that all are: the one before
// today may become one of them meanwhile.
func (h *history) closeDays(t *testing.T) {
	t.Helper()
	before := h.todayIsFresh(t)
	require.NoError(t, h.Ledger.Maintain(t.Context()))
	until := h.daysUntil(t)
	require.Contains(t, []time.Time{until.AddDate(0, 0, before), until.AddDate(0, 0, h.todayIsFresh(t))}, h.today)
}

// todayIsFresh is 1 in the first minutes of a day, when the one before it is not
// closed yet.
func (h *history) todayIsFresh(t *testing.T) (days int) {
	t.Helper()
	require.NoError(t, h.conn.QueryRow(t.Context(), "SELECT $1::date - (now() AT TIME ZONE 'UTC' - interval '10 minutes')::date", h.today).Scan(&days))
	return max(days, 0)
}

// The time of an event is when its transaction began. One that is still open may
// add to a day that is long over, even if it has written nothing so far.
func TestADayIsClosedWhenItsTransactionsHaveEnded(t *testing.T) {
	for _, written := range []bool{false, true} {
		t.Run(fmt.Sprintf("has written=%v", written), func(t *testing.T) {
			h := newHistory(t, 5, 10, 100)
			since := h.first.AddDate(0, 0, -1)
			h.setProgress(t, since, since)
			late := h.Connect(t)
			tx, err := late.Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), "SELECT now()")
			require.NoError(t, err)

			if written {
				_, err = tx.Exec(t.Context(), "SELECT pg_current_xact_id()")
				require.NoError(t, err)
			}

			for wait := time.Second; ; wait *= 2 { // until a busy machine has looked once
				attempt, cancel := context.WithTimeout(t.Context(), wait)
				err = h.Ledger.Maintain(attempt)
				cancel()
				if err == nil || wait > time.Minute || strings.Contains(err.Error(), "that might add scores") {
					break
				}
			}
			require.ErrorContains(t, err, "that might add scores")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, since, h.daysUntil(t))

			player, board := h.Players(t, 1)[0], h.Board(t, "speed")
			_, err = tx.Exec(t.Context(), "INSERT INTO score_events (id, at, player, score, board, season, improved) VALUES (5000, $1, $2, 99999, $3, 1, true)",
				h.first.AddDate(0, 0, 2).Add(time.Hour), player.Number, board.Number)
			require.NoError(t, err)

			// It is waited for, not given up.
			done := make(chan error)
			go func() { done <- h.Ledger.Maintain(t.Context()) }()
			require.NoError(t, tx.Commit(t.Context()))
			require.NoError(t, <-done)
			require.True(t, h.daysUntil(t).After(h.first.AddDate(0, 0, 3)))
			require.Equal(t, player.ID, h.requirePlainReport(t, board, h.first, h.today, 5)[0].Player)
		})
	}
}

// Transactions of others in the same PostgreSQL hold nothing up: they cannot write
// events here.
func TestADayIsNotHeldOpenByStrangers(t *testing.T) {
	h := newHistory(t, 3, 10, 50)
	h.setProgress(t, h.first, h.first)
	for _, stranger := range []*ledgertest.Fixture{newFixture(t, postgres.Options{})} {
		conn := stranger.Connect(t) // another database
		_, err := conn.Exec(t.Context(), "BEGIN; SELECT pg_current_xact_id()")
		require.NoError(t, err)
	}

	require.NoError(t, h.Server.Exec(t.Context(), h.Database, "CREATE ROLE "+h.Database+"_reader LOGIN PASSWORD 'reader'; GRANT CONNECT ON DATABASE "+h.Database+" TO "+h.Database+"_reader"))
	reader, err := pgx.Connect(t.Context(), h.Server.UserURL(h.Database+"_reader", "reader", h.Database))
	require.NoError(t, err)
	defer reader.Close(context.WithoutCancel(t.Context()))

	_, err = reader.Exec(t.Context(), "BEGIN")
	require.NoError(t, err)
	attempt, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	require.NoError(t, h.Ledger.Maintain(attempt))
	require.True(t, h.daysUntil(t).After(h.first))
}

// Any number of replicas maintain, are ended anywhere and go on, while scores come
// in and months are dropped.
func TestReplicasRollUpTogether(t *testing.T) {
	h := newHistory(t, 100, 200, 6000)
	h.setProgress(t, h.first, h.first)
	players := h.Players(t, 4)
	var group sync.WaitGroup

	for i := range 3 {
		replica := h.Open(t, postgres.Options{EventRetention: []time.Duration{0, 0, 70 * 24 * time.Hour}[i]})
		random := rand.New(rand.NewPCG(h.random.Uint64(), 0))
		group.Go(func() {
			for i := range 20 { // ended after 0 to 150 ms
				attempt, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(150))*time.Millisecond)
				_ = []func(context.Context) error{replica.Maintain, replica.RollUpRecent}[i%2](attempt)
				cancel()
			}
			for range 2 { // the second time nobody else was at it
				if err := errors.Join(replica.Maintain(t.Context()), replica.RollUpRecent(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}

	for i := range 200 {
		store(t, h.Ledger, ledgertest.Submission(players[i%4], "race", int64(i)))
	}

	group.Wait()
	h.closeDays(t)
	require.NoError(t, h.Ledger.RollUpRecent(t.Context()))
	h.requirePlain(t, 60)
}

// While a rollup is being made, scores are stored, reports are answered and other
// replicas do not wait.
func TestARollupInTheMakingBlocksNothing(t *testing.T) {
	h := newHistory(t, 5, 20, 200)
	h.setProgress(t, h.first, h.first)
	h.exec(t, "BEGIN")
	h.exec(t, "SELECT FROM report_progress FOR UPDATE")
	h.exec(t, "DELETE FROM report_tops")
	h.exec(t, "SELECT count(*) FROM score_events")
	short := h.Open(t, postgres.Options{EventRetention: 24 * time.Hour, LockTimeout: 100 * time.Millisecond, Timeout: time.Minute})
	store(t, short, ledgertest.Submission(h.Players(t, 1)[0], "speed", 1))
	_, err := short.TopPlayers(t.Context(), h.Board(t, "speed"), h.first, h.today, 5)
	require.NoError(t, err)

	// This transaction may write events, so the days stay open until it ends.
	attempt, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()

	require.ErrorIs(t, short.Maintain(attempt), context.DeadlineExceeded)
	h.exec(t, "COMMIT")
	require.NoError(t, short.Maintain(t.Context()))
	h.requirePlain(t, 20)
}

// A ledger that is older than rollups has all of its days rolled up.
func TestMigrationRollsUpWhatIsThere(t *testing.T) {
	database, err := server.CreateDatabase(t.Context())
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), server.URL(database))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))

	for _, c := range []struct{ at, since, months string }{{"2025-03-15 00:30+00", "2025-03-14", "2025-04-01"}, {"2025-03-02 12:00+00", "2025-03-01", "2025-03-01"}} {
		schema := "from_" + c.since
		require.NoError(t, postgres.MigrateTo(t.Context(), conn, schema, 1))
		_, err = conn.Exec(t.Context(), "INSERT INTO "+pgx.Identifier{schema, "score_events"}.Sanitize()+
			" (id, at, player, score, board, season, improved) VALUES (1, now(), 1, 1, 1, 1, true), (2, $1::text::timestamptz, 1, 1, 1, 1, true)", c.at)
		require.NoError(t, err)
		require.NoError(t, postgres.Migrate(t.Context(), conn, schema))
		var since, days, months string
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT since::text, days_until::text, months_until::text FROM "+pgx.Identifier{schema, "report_progress"}.Sanitize()).Scan(&since, &days, &months))
		require.Equal(t, []string{c.since, c.since, c.months}, []string{since, days, months})
	}
}
