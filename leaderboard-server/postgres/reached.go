package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/gate"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// reachedTimeout bounds one lookup of the times of a page, which goes out without them
	// rather than late.
	reachedTimeout = 500 * time.Millisecond
	// reachedScan bounds the reading of a season's events for them: one or two million.
	reachedScan = 250 * time.Millisecond
	// scanQueue bounds the pages that wait to read one.
	scanQueue = 16
	// reachedLag is how far the standings may be behind the log for the times of what is
	// newer to be looked up.
	reachedLag = time.Hour
)

// reachedSQL is when the score of a standing was reached, see the migration reached_at.
const reachedSQL = "CASE WHEN xid = '0' THEN reached_at END"

// ReachedAt implements [leaderboard.EntryTimes]. Of closed seasons the times are in the
// results, of others in the standings, and of what is newer in the log behind their
// checkpoint. Windows whose scoring is not ordered have no standings: where the event is
// not that of all time, the season's events are read.
func (l *Ledger) ReachedAt(ctx context.Context, queries []leaderboard.ReachedQuery) ([]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, reachedTimeout)
	defer cancel()

	r := &reached{queries: queries, times: make([]time.Time, len(queries))}
	if err := l.reachedSoon(ctx, r); err != nil {
		return r.times, err
	}
	return r.times, l.reachedInWindows(ctx, r)
}

// reached are the times of entries, as far as they were found.
type reached struct {
	queries []leaderboard.ReachedQuery
	times   []time.Time
}

// reachedSoon finds what takes little to find.
func (l *Ledger) reachedSoon(ctx context.Context, r *reached) error {
	ctx, done, err := l.lookUp(ctx, reachedTimeout)
	if err != nil {
		return err
	}
	defer done()

	var closed, open []int
	for i, q := range r.queries {
		if q.Season.Closed() {
			closed = append(closed, i)
		} else {
			open = append(open, i)
		}
	}
	if err := l.reachedInResults(ctx, r, closed); err != nil {
		return unavailable("read when scores were reached from results", err)
	}
	newer, err := l.reachedInStandings(ctx, r, open)
	if err != nil {
		return unavailable("read when scores were reached from standings", err)
	}
	if len(newer) == 0 {
		return nil
	}

	rows, err := l.pool.Query(ctx, `
		SELECT e.id, e.at
		FROM ledger_state s, unnest($1::bigint[]) q (id) JOIN score_events e ON e.id = q.id
		WHERE e.at > now() - $2::interval AND e.xid >= s.checkpoint AND e.xid < s.checkpoint | `+lastOfHistory, r.events(newer), reachedLag)
	if err == nil {
		err = r.fill(rows, newer)
	}
	if err != nil {
		return unavailable("read when scores were reached from the log", err)
	}
	return nil
}

func (l *Ledger) reachedInResults(ctx context.Context, r *reached, closed []int) error {
	if len(closed) == 0 {
		return nil
	}

	// By player, as places are others where somebody was moderated since.
	n := len(closed)
	boards, seasons, players, events := make([]int32, n), make([]int32, n), make([]int64, n), make([]int64, n)
	for i, n := range closed {
		q := r.queries[n]
		boards[i], seasons[i], players[i], events[i] = q.Board.Number, q.Board.Season, q.Player, q.Event
	}
	rows, err := l.pool.Query(ctx, `
		SELECT q.ordinal - 1, CASE WHEN r.events[i] = q.event THEN r.reached_at[i] ELSE c.reached_at END
		FROM unnest($1::int[], $2::int[], $3::bigint[], $4::bigint[]) WITH ORDINALITY q (board, season, player, event, ordinal)
		LEFT JOIN LATERAL (
			SELECT players, ranks FROM result_players p
			WHERE p.board = q.board AND p.season = q.season AND p.first_player <= q.player ORDER BY p.first_player DESC LIMIT 1
		) part ON true
		LEFT JOIN LATERAL (SELECT part.ranks[array_position(part.players, q.player)] AS place) found ON true
		LEFT JOIN result_ranks r ON r.board = q.board AND r.season = q.season AND r.first_rank = (found.place - 1) / $5 * $5 + 1
		LEFT JOIN LATERAL (SELECT (found.place - r.first_rank + 1)::int AS i) part_of ON true
		LEFT JOIN result_changes c ON c.board = q.board AND c.season = q.season AND c.player = q.player AND c.event = q.event`, boards, seasons, players, events, int64(resultRow))
	if err != nil {
		return err
	}

	var ordinal int64
	var at *time.Time
	_, err = pgx.ForEachRow(rows, []any{&ordinal, &at}, func() error {
		if at != nil {
			r.times[closed[ordinal]] = at.UTC()
		}
		return nil
	})
	return err
}

// reachedInStandings returns the entries that are newer than the standings, or have none.
func (l *Ledger) reachedInStandings(ctx context.Context, r *reached, open []int) (newer []int, err error) {
	if len(open) == 0 {
		return nil, nil
	}

	n := len(open)
	boards, seasons, players, events := make([]int32, n), make([]int32, n), make([]int64, n), make([]int64, n)
	for i, o := range open {
		q := r.queries[o]
		boards[i], seasons[i], players[i], events[i] = q.Board.Number, q.Board.Season, q.Player, q.Event
		if q.WithoutStandings() {
			if board, ok := l.Catalog().Numbered(q.Board.Number); ok {
				seasons[i] = board.Season // of all time, where the event may be the best, too
				if _, segment := leaderboard.SplitSeason(q.Board.Season); segment != 0 {
					seasons[i] = leaderboard.SegmentSeason(board.Season, segment)
				}
			}
		}
	}
	rows, err := l.pool.Query(ctx, `
		SELECT q.ordinal - 1, s.event IS NOT NULL, `+reachedSQL+`
		FROM unnest($1::int[], $2::int[], $3::bigint[], $4::bigint[]) WITH ORDINALITY q (board, season, player, event, ordinal)
		LEFT JOIN standings s ON s.board = q.board AND s.season = q.season AND s.player = q.player AND s.event = q.event`, boards, seasons, players, events)
	if err != nil {
		return nil, err
	}

	var ordinal int64
	var found bool
	var at *time.Time
	_, err = pgx.ForEachRow(rows, []any{&ordinal, &found, &at}, func() error {
		switch {
		case at != nil:
			r.times[open[ordinal]] = at.UTC()
		case !found:
			newer = append(newer, open[ordinal])
		}
		return nil
	})
	return newer, err
}

// reachedInWindows reads the events of seasons for what no standing knows, as reports are
// read: with their connection, if it is free soon.
func (l *Ledger) reachedInWindows(ctx context.Context, r *reached) error {
	missing := map[leaderboard.SeasonID][]int{}
	for i, q := range r.queries {
		if r.times[i].IsZero() && q.WithoutStandings() {
			season := leaderboard.SeasonID{Board: q.Board.Number, Season: q.Board.Season}
			missing[season] = append(missing[season], i)
		}
	}
	if len(missing) == 0 {
		return nil
	}

	// Waits end before the deadline, which would cost the connection, as would a statement
	// that PostgreSQL does not end itself.
	soon, cancel := context.WithTimeout(ctx, reachedScan/2)
	defer cancel()

	// One page at a time waits among the reports, so that pages do not fill their queue.
	for _, gate := range []*gate.Gate{l.scans, l.reports} {
		leave, err := gate.Enter(soon)
		if err != nil {
			return err
		}
		defer leave()
	}

	err := pgx.BeginTxFunc(ctx, l.aside, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', $1, true), "+reportSettings, fmt.Sprint(reachedScan.Milliseconds())); err != nil {
			return err
		}
		for _, of := range missing {
			season := r.queries[of[0]].Season
			rows, err := tx.Query(ctx, `SELECT e.id, e.at FROM unnest($1::bigint[]) q (id) JOIN score_events e ON e.id = q.id
				WHERE e.at >= $2 AND e.at < $3`, r.events(of), season.Opens, season.Closes)
			if err != nil {
				return err
			}
			if err := r.fill(rows, of); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return unavailable("read when scores were reached from the events of a season", err)
	}
	return nil
}

// events are the entries' events.
func (r *reached) events(of []int) []int64 {
	events := make([]int64, len(of))
	for i, n := range of {
		events[i] = r.queries[n].Event
	}
	return events
}

// fill adds the times of events, for the entries with these numbers.
func (r *reached) fill(rows pgx.Rows, of []int) error {
	var event int64
	var at time.Time
	_, err := pgx.ForEachRow(rows, []any{&event, &at}, func() error {
		for _, n := range of {
			if r.queries[n].Event == event {
				r.times[n] = at.UTC()
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the times of events: %w", err)
	}
	return nil
}
