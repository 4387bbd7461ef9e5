package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// readProgress is for how long a reader of the log may get nothing before it gives
// up: a connection that leads nowhere must not keep the lead for as long as a whole
// read may take.
const readProgress = 30 * time.Second

// lastOfHistory are the bits of the transaction's number in [leaderboard.HistoryEnd].
const lastOfHistory = "((1::bigint << 48) - 1)"

// Snapshot returns the ledger's present point in history. Its transaction numbers
// are those of the log, see log_xid() in the migrations.
func (l *Ledger) Snapshot(ctx context.Context) (leaderboard.Snapshot, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	var s leaderboard.Snapshot
	err := l.pool.QueryRow(ctx, `
		SELECT identity, history | pg_snapshot_xmin(now)::text::bigint, history | pg_snapshot_xmax(now)::text::bigint,
			CASE WHEN is_called THEN last_value ELSE 0 END, now(), version
		FROM event_ids, ledger_here(), boards_version, pg_current_snapshot() now`).Scan(&s.Identity, &s.Xmin, &s.Xmax, &s.LastEvent, &s.Now, &s.Version)
	l.writable.observe(nil, err)
	if err != nil {
		return s, unavailable("read the ledger's snapshot", err)
	}

	l.observeIdentity(s.Identity)
	return s, nil
}

// ReadLog streams the events that transactions from <= xid < until appended, in
// chunks of at most size, each valid until fn returns. until is the Xmin of an
// earlier Snapshot. Memory is bounded by the chunk; the read ends when nothing comes
// for readProgress.
func (l *Ledger) ReadLog(ctx context.Context, from, until uint64, size int, fn func([]leaderboard.Event) error) error {
	err := read(ctx, l.pool, func(ctx context.Context, tx pgx.Tx, progress func()) error {
		return l.readEvents(ctx, tx, 0, from, until, size, func(events []leaderboard.Event) error {
			progress()
			defer progress()
			return fn(events)
		})
	})
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}

	return nil
}

// ReadBoard streams a season of a board as it is now: its standings and those of its segments,
// each in rank order, and then the events behind their checkpoint, all that are committed. Both are of one snapshot,
// whose checkpoint and xmin begin is called with first.
func (l *Ledger) ReadBoard(ctx context.Context, board leaderboard.LiveBoard, size int,
	begin func(checkpoint, xmin uint64), standings func([]leaderboard.Standing) error, events func([]leaderboard.Event) error,
) error {
	err := read(ctx, l.aside, func(ctx context.Context, tx pgx.Tx, progress func()) error {
		var checkpoint, xmin, history uint64
		err := tx.QueryRow(ctx, `SELECT checkpoint, log_history() | pg_snapshot_xmin(pg_current_snapshot())::text::bigint, log_history()
			FROM ledger_state`).Scan(&checkpoint, &xmin, &history)
		if err != nil {
			return err
		}
		if checkpoint < history || checkpoint > xmin {
			return errors.New("the checkpoint of the standings is of another history: it is adopted first")
		}

		begin(checkpoint, xmin)
		err = readRankings(ctx, tx, board, shown, size, func(chunk []leaderboard.Standing) error {
			progress()
			defer progress()
			return standings(chunk)
		})
		if err != nil {
			return err
		}

		return l.readEvents(ctx, tx, board.Number, checkpoint, leaderboard.HistoryEnd(history), size, func(chunk []leaderboard.Event) error {
			progress()
			defer progress()
			return events(chunk)
		})
	})
	if err != nil {
		return fmt.Errorf("read board %s: %w", board.Name, err)
	}

	return nil
}

// read runs fn in a read-only transaction of one snapshot, until it makes no
// progress.
func read(ctx context.Context, pool *pool, fn func(ctx context.Context, tx pgx.Tx, progress func()) error) error {
	return readFor(ctx, pool, readProgress, fn)
}

// readFor is read where the first rows take longer.
func readFor(ctx context.Context, pool *pool, patience time.Duration, fn func(ctx context.Context, tx pgx.Tx, progress func()) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(patience, func() {
		cancel(fmt.Errorf("nothing was read for %s: %w", patience, context.DeadlineExceeded))
	})
	defer watchdog.Stop()

	err := pgx.BeginTxFunc(ctx, pool, oneSnapshot, func(tx pgx.Tx) error {
		// A whole board takes longer than the role's limit for requests. A ranking is
		// written twice as fast in rank order: the sort gets memory.
		if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', '0', true), set_config('work_mem', '64MB', true)"); err != nil {
			return err
		}
		return fn(ctx, tx, func() { watchdog.Reset(patience) })
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return errors.Join(err, cause)
	}

	return err
}

// rankOrder is SQL for the order of a board's entries, before their events or ids, for that by
// which the first of a player's events is the one that counts, and for the columns of an event
// as they are ranked.
func rankOrder(board leaderboard.LiveBoard) (best, first, columns string) {
	best, columns = "-score, ", "NULL::bigint[]"
	if board.Order == leaderboard.Ascending {
		best = "score, "
	}
	if len(board.Columns) > 0 {
		best, columns = best+"coalesce(columns, '{}'), ", columnsOfLog(board)
	}
	if first = best; board.Scoring == leaderboard.First {
		first = ""
	}
	return best, first, columns
}

// Of whom standings are read.
const (
	// everybody is also those who are left out of the board's rankings.
	everybody = iota
	// shown are the others.
	shown
)

// standingsSQL reads the standings of the board's season in rank order. Where it is one of a
// window and the scoring is not ordered, there are none: they are folded from the log.
func standingsSQL(board leaderboard.LiveBoard, whose int) (sql string, args []any) {
	best, first, columns := rankOrder(board)
	i := slices.IndexFunc(board.Seasons, func(s leaderboard.Season) bool { return s.Number == board.Season })
	if i < 0 || board.Scoring.Ordered() {
		return "SELECT " + standingSQL + " FROM standings WHERE board = $1 AND season = $2 AND NOT removed" + whoseSQL("standings", whose) + " ORDER BY " + best + "event", []any{board.Number, board.Season}
	}
	return `SELECT $1::int, $2::int, player, score, id, id, board, at, columns FROM (
			SELECT DISTINCT ON (player) player, score, id, board, at, columns
			FROM (SELECT player, score, id, board, at, ` + columns + ` AS columns FROM score_events
				WHERE at >= $3 AND at < $4 AND (board = $1 OR $1 = 1 AND global_season IS NOT NULL) AND ` + countsSQL("score_events", "$1") + whoseSQL("score_events", whose) + `) events
			ORDER BY player, ` + first + `id) folded
		ORDER BY ` + best + "id", []any{board.Number, board.Season, board.Seasons[i].Opens, board.Seasons[i].Closes}
}

// whoseSQL leaves out of a table those who are not meant, of the board $1.
func whoseSQL(table string, whose int) string {
	if whose == everybody {
		return ""
	}
	return " AND NOT " + excludedSQL(table+".player")
}

// readStandings streams the standings of the board's season in rank order.
func readStandings(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, whose, size int, fn func([]leaderboard.Standing) error) error {
	sql, args := standingsSQL(board, whose)
	return streamStandings(ctx, tx, board, sql, args, size, fn)
}

func streamStandings(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, sql string, args []any, size int, fn func([]leaderboard.Standing) error) error {
	rows, err := tx.Query(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
	if err != nil {
		return err
	}

	row := standingRow{fold: board.Fold()}
	return streamWith(rows, size, fn, func(s *leaderboard.Standing) error {
		err := rows.Scan(row.fields(s)...)
		row.complete(s)
		return err
	})
}

// standingSQL are the columns that a standingRow is scanned from.
const standingSQL = "board, season, player, score, event, greatest(last_event, event), origin, " + reachedSQL + ", columns"

// standingRow reads standings that are ranked by a fold.
type standingRow struct {
	fold    leaderboard.Fold
	at      pgtype.Timestamptz
	columns []int64
}

func (r *standingRow) fields(s *leaderboard.Standing) []any {
	return []any{&s.Board, &s.Season, &s.Player, &s.Score, &s.Event, &s.Last, &s.Origin, &r.at, &r.columns}
}

// complete sets what was scanned into the row.
func (r *standingRow) complete(s *leaderboard.Standing) {
	s.Columns = r.fold.Submitted(readColumns(r.columns))
	if s.ReachedAt = 0; r.at.Valid {
		s.ReachedAt = r.at.Time.UnixMicro()
	}
}

// eventsSQL reads events of the log. $3 a board's number, 0: all; of global those
// that count there, too.
const eventsSQL = `
	SELECT e.id, e.xid, e.player, e.board, e.score, e.at, e.global_season IS NOT NULL{on global}, e.segments, e.columns, NULL::int, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint[]{excluded}
	FROM score_events e
	WHERE e.xid >= $1 AND e.xid < $2 AND ($3 = 0 OR e.board = $3 OR $3 = 1 AND e.global_season IS NOT NULL){counts}`

// orderedEventsSQL has the standings of boards $4, too, whose scoring is ordered: a row for
// each season, and each segment of one, in which the event counts.
const orderedEventsSQL = `
	SELECT e.id, e.xid, e.player, e.board, e.score, e.at, e.global_season IS NOT NULL{on global}, e.segments, e.columns, s.season, s.score, s.event, greatest(s.last_event, s.event), s.columns{excluded}
	FROM score_events e
	LEFT JOIN LATERAL (
		SELECT season, score, event, last_event, columns FROM standings
		WHERE e.board = ANY ($4) AND board = e.board AND player = e.player AND season IN (
			SELECT unnest(number || ARRAY(SELECT segment_season(number, v) FROM unnest(e.segments) v WHERE v > 0)) FROM (
				SELECT number FROM seasons n WHERE n.board = e.board AND n.opens_at <= e.at AND (n.closes_at IS NULL OR n.closes_at > e.at)
				UNION ALL
				SELECT number FROM window_seasons n WHERE n.board = e.board AND n.opens_at <= e.at AND n.closes_at > e.at) n)
	) s ON true
	WHERE e.xid >= $1 AND e.xid < $2 AND ($3 = 0 OR e.board = $3 OR $3 = 1 AND e.global_season IS NOT NULL){counts}`

// The statements as they are run where nothing was ever moderated, and where something was:
// then they read what counts, and say from which boards the players are left out.
var (
	withoutModeration = strings.NewReplacer("{on global}", "", "{excluded}", "", "{counts}", "")
	withModeration    = strings.NewReplacer(
		"{on global}", " AND NOT EXISTS (SELECT FROM removals m WHERE m.player = e.player AND m.board = 1 AND m.through >= e.id)",
		"{excluded}", ", (SELECT array_agg(x.board) FROM exclusions x WHERE x.player = e.player)",
		"{counts}", " AND "+countsSQL("e", "e.board"))
)

func (l *Ledger) readEvents(ctx context.Context, tx pgx.Tx, board int32, from, until uint64, size int, fn func([]leaderboard.Event) error) error {
	catalog := l.Catalog()
	if catalog == nil {
		return errors.New("the boards are not loaded yet")
	}

	var ordered []int32
	for _, b := range catalog.All() {
		if b.Scoring.Ordered() && (board == 0 || board == b.Number) {
			ordered = append(ordered, b.Number)
		}
	}

	sql, args := eventsSQL, []any{int64(from), int64(until), board}
	if len(ordered) > 0 {
		sql, args = orderedEventsSQL, append(args, ordered)
	}

	moderated := catalog.Moderated() != 0
	form := withoutModeration
	if moderated {
		form = withModeration
	}
	rows, err := tx.Query(ctx, form.Replace(sql), args...)
	if err != nil {
		return err
	}

	var score, event, last pgtype.Int8
	var season pgtype.Int4
	var submitted, ranked []int64
	return streamWith(rows, size, fn, func(e *leaderboard.Event) error {
		fields := []any{&e.Number, &e.Xid, &e.Player, &e.Board, &e.Score, &e.At, &e.CountsTowardGlobal, &e.Segments, &submitted, &season, &score, &event, &last, &ranked}
		if moderated {
			fields = append(fields, &e.Excluded)
		}
		if err := rows.Scan(fields...); err != nil {
			return err
		}
		e.Columns = readColumns(submitted)
		if e.Standing = nil; score.Valid {
			of, _ := catalog.Numbered(e.Board)
			e.Standing = &leaderboard.Standing{EntryKey: leaderboard.EntryKey{Board: e.Board, Season: season.Int32, Player: e.Player},
				Score: score.Int64, Columns: of.In(season.Int32).Fold().Submitted(readColumns(ranked)), Event: event.Int64, Last: last.Int64, Origin: e.Board}
		}
		return nil
	})
}

// OldestEvent is how long ago the oldest event was appended that a transaction from
// from on has committed; ok is false where there is none.
func (l *Ledger) OldestEvent(ctx context.Context, from uint64) (age time.Duration, ok bool, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	var seconds pgtype.Float8
	err = l.pool.QueryRow(ctx, "SELECT extract(epoch FROM clock_timestamp() - min(at))::float8 FROM score_events WHERE xid >= $1 AND xid < $2",
		int64(from), int64(leaderboard.HistoryEnd(from))).Scan(&seconds)
	if err != nil {
		return 0, false, unavailable("look for the oldest event", err)
	}

	return time.Duration(seconds.Float64 * float64(time.Second)), seconds.Valid, nil
}

// stream hands the rows to fn in chunks of at most size, each valid until fn
// returns.
func stream[T any](rows pgx.Rows, size int, fn func([]T) error, fields func(*T) []any) error {
	return streamWith(rows, size, fn, func(row *T) error { return rows.Scan(fields(row)...) })
}

func streamWith[T any](rows pgx.Rows, size int, fn func([]T) error, scan func(*T) error) error {
	defer rows.Close()

	chunk := make([]T, 0, size)
	for rows.Next() {
		var row T
		if err := scan(&row); err != nil {
			return err
		}
		if chunk = append(chunk, row); len(chunk) == size {
			if err := fn(chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
	}
	if err := rows.Err(); err != nil || len(chunk) == 0 {
		return err
	}

	return fn(chunk)
}
