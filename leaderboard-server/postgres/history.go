package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// historyBudget is after which time one call begins to read no further part of the
	// log: it answers with what it has, and where to go on.
	historyBudget = time.Second
	// historySlice is how much of the log is read first where nothing says how many events
	// there are: a hundred million a month are 35,000 in a quarter hour, some 4 ms. The
	// next slices are longer or shorter by what that took, between quickSlice and
	// slowSlice.
	historySlice = quarter
	quickSlice   = 20 * time.Millisecond
	slowSlice    = 100 * time.Millisecond
	longestSlice = 32 * 24 * time.Hour
	// clockMargin is how far events may be ahead of the clock, which a failover sets back.
	clockMargin = 10 * time.Second
)

// logBeginsSQL is from when on events are there, as retention has cut the log.
const logBeginsSQL = `least(
	(SELECT min(at) FROM score_events_default),
	(SELECT min(to_date(right(c.relname, 6), 'YYYYMM'))::timestamp AT TIME ZONE 'UTC' FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = 'score_events'::regclass AND c.relname ~ '^score_events_[0-9]{6}$'))`

// History implements [leaderboard.Histories]. The log has no index of players, as keeping
// one would cost each submission. The rollups of reports say in which quarter hours, days
// and months a player submitted to a board, and the index of times finds those. So that
// reports and histories together take one connection, they have one gate.
func (l *Ledger) History(ctx context.Context, query leaderboard.HistoryQuery) (leaderboard.HistoryPart, error) {
	return l.history(ctx, query, historyBudget)
}

func (l *Ledger) history(ctx context.Context, query leaderboard.HistoryQuery, budget time.Duration) (leaderboard.HistoryPart, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	leave, err := l.reports.Enter(ctx)
	if err != nil {
		return leaderboard.HistoryPart{}, err
	}
	defer leave()

	r := &historyReader{query: query, budget: budget, slice: historySlice}
	// In one snapshot: what the progress names must be there.
	err = pgx.BeginTxFunc(ctx, l.aside, oneSnapshot, func(tx pgx.Tx) error {
		r.tx = tx
		return r.read(ctx)
	})
	switch {
	case err == nil:
		return r.part, nil
	case sqlState(err) == stateQueryCanceled || ctx.Err() != nil:
		return leaderboard.HistoryPart{}, leaderboard.Errorf(leaderboard.CodeUnavailable, "", "the history took too long, try again").
			After(time.Second).WithCause(fmt.Errorf("read a player's history: %w", err))
	}
	return leaderboard.HistoryPart{}, unavailable("read a player's history", err)
}

// The lengths of spans.
const (
	loose = iota // no rollup says whether there is something in it
	ofQuarter
	ofHour
	ofDay
	ofMonth
)

// span is a time in which the player has events, or may have.
type span struct {
	interval
	length int
}

// historyReader reads one part of a history.
type historyReader struct {
	tx       pgx.Tx
	query    leaderboard.HistoryQuery
	budget   time.Duration
	progress progress
	// slice is how much of a loose span is read next.
	slice time.Duration
	part  leaderboard.HistoryPart
}

func (r *historyReader) read(ctx context.Context) error {
	begun := time.Now()
	spans, err := r.begin(ctx)
	if err != nil {
		return err
	}

	// The newest span is the last one. One is read in any case, so that each part gets
	// further.
	for over := false; len(spans) > 0 && len(r.part.Events) < r.query.Limit && !over; {
		var newest span
		var ok bool
		if newest, spans, ok, err = r.next(ctx, spans); err != nil {
			return err
		}
		if !ok {
			break
		}

		rest, err := r.readSpan(ctx, newest)
		if err != nil {
			return err
		}
		if rest.from.Before(rest.to) {
			spans = append(spans, rest)
		}
		over = time.Since(begun) >= r.budget
	}

	switch found := r.part.Events; {
	case len(found) > r.query.Limit:
		r.part.Events = found[:r.query.Limit]
		last := found[r.query.Limit-1]
		r.part.Next = &leaderboard.HistoryPlace{At: last.At, Event: last.Number}
	case len(spans) > 0:
		r.part.Next = &leaderboard.HistoryPlace{At: spans[len(spans)-1].to}
	}
	return nil
}

// next takes the newest span off the others, as short as rollups tell; false: in none of them is
// anything.
func (r *historyReader) next(ctx context.Context, spans []span) (newest span, older []span, ok bool, err error) {
	for len(spans) > 0 {
		newest, spans = spans[len(spans)-1], spans[:len(spans)-1]
		parts := r.partsOf(newest)
		if parts == nil {
			return newest, spans, true, nil
		}
		found, err := r.holding(ctx, *parts)
		if err != nil {
			return span{}, nil, false, err
		}
		spans = append(spans, found...)
	}
	return span{}, nil, false, nil
}

// begin returns the spans of what is asked for in which the player has events or may have,
// the newest last.
func (r *historyReader) begin(ctx context.Context) ([]span, error) {
	done, err := tops.beginReport(ctx, r.tx)
	if err != nil {
		return nil, err
	}
	var now time.Time
	err = r.tx.QueryRow(ctx, "SELECT clock_timestamp(), "+logBeginsSQL).Scan(&now, &r.part.Since)
	if err != nil {
		return nil, err
	}

	r.progress, r.part.Since = done, r.part.Since.UTC()
	from, to := latest(r.query.From, r.part.Since), now.Add(clockMargin)
	if !r.query.To.IsZero() {
		to = earliest(to, r.query.To)
	}
	if r.query.Before != nil {
		to = earliest(to, r.query.Before.At.Add(time.Microsecond)) // as exact as PostgreSQL is
	}
	if !from.Before(to) {
		return nil, nil
	}

	s := done.split(from, to)
	rolled, err := r.holding(ctx, s)
	if err != nil {
		return nil, err
	}
	var spans []span
	if s.before.from.Before(s.before.to) {
		spans = append(spans, span{s.before, loose})
	}
	spans = append(spans, rolled...)
	if s.after.from.Before(s.after.to) {
		spans = append(spans, span{s.after, loose})
	}
	return spans, nil
}

// partsOf returns the shorter rollups of a span, nil if there are none.
func (r *historyReader) partsOf(s span) *split {
	each := func(length time.Duration) (starts []time.Time) {
		for at := s.from; at.Before(s.to); at = at.Add(length) {
			starts = append(starts, at)
		}
		return starts
	}

	recent := func(until time.Time) bool { return !s.from.Before(r.progress.recentSince) && !s.to.After(until) }
	switch {
	case s.length == ofMonth:
		return &split{days: each(24 * time.Hour)}
	case s.length == ofDay && recent(r.progress.hoursUntil):
		return &split{hours: each(time.Hour)}
	case s.length == ofHour && recent(r.progress.quartersUntil):
		return &split{quarters: each(quarter)}
	}
	return nil
}

// holdingSQL finds the rollups in which a player is: of $3 months, $4 days, $5 hours and $6
// quarter hours. $1 the board, $2 the player.
const holdingSQL = `
	SELECT length, start
	FROM (
		SELECT length, start::timestamp AT TIME ZONE 'UTC' AS start, (
			SELECT c.players FROM report_counts c
			WHERE c.monthly = (p.length = 4) AND c.start = p.start AND c.board = $1 AND c.first_player <= $2
			ORDER BY c.first_player DESC LIMIT 1) AS players
		FROM (SELECT 4 AS length, unnest($3::date[]) AS start UNION ALL SELECT 3, unnest($4::date[])) p
		UNION ALL
		SELECT length, start, (
			SELECT c.players FROM report_recent_counts c
			WHERE c.hourly = (p.length = 2) AND c.start = p.start AND c.board = $1 AND c.first_player <= $2
			ORDER BY c.first_player DESC LIMIT 1)
		FROM (SELECT 2 AS length, unnest($5::timestamptz[]) AS start UNION ALL SELECT 1, unnest($6::timestamptz[])) p
	) rollups
	WHERE $2 = ANY (players)
	ORDER BY start`

// holding returns the rolled up parts in which the player has events, the newest last.
func (r *historyReader) holding(ctx context.Context, s split) ([]span, error) {
	rows, err := r.tx.Query(ctx, holdingSQL, r.query.Board.Number, r.query.Player, s.months, s.days, s.hours, s.quarters)
	if err != nil {
		return nil, err
	}

	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (found span, err error) {
		err = row.Scan(&found.length, &found.from)
		found.from = found.from.UTC()
		switch found.length {
		case ofMonth:
			found.to = found.from.AddDate(0, 1, 0)
		case ofDay:
			found.to = found.from.AddDate(0, 0, 1)
		case ofHour:
			found.to = found.from.Add(time.Hour)
		case ofQuarter:
			found.to = found.from.Add(quarter)
		}
		return found, err
	})
}

// historySQL reads a player's events between two instants, of global ($4 = 1) those that
// count there; $8 the segment in which they count, 0: any; and $9 whether also
// those that a moderator has had not count.
var historySQL = `
	SELECT id, score, columns, at, board FROM score_events
	WHERE at >= $1 AND at < $2 AND player = $3 AND (board = $4 OR $4 = 1 AND global_season IS NOT NULL)
		AND ($9 OR ` + countsSQL("score_events", "$4") + `)
		AND ($5::timestamptz IS NULL OR (at, id) < ($5, $6))
		AND ($8 = 0 OR CASE WHEN board = $4 THEN $8 ELSE -$8 END = ANY (segments))
	ORDER BY at DESC, id DESC LIMIT $7`

// readSpan adds the events of the newest part of a span, and returns what is left of it.
func (r *historyReader) readSpan(ctx context.Context, s span) (rest span, err error) {
	from := s.from
	if s.length == loose || s.length > ofQuarter {
		from = latest(from, s.to.Add(-r.slice))
	}
	var before *time.Time
	var event int64
	if place := r.query.Before; place != nil {
		before, event = &place.At, place.Event
	}

	begun := time.Now()
	rows, err := r.tx.Query(ctx, historySQL, from, s.to, r.query.Player, r.query.Board.Number, before, event, r.query.Limit+1-len(r.part.Events), r.query.Segment, r.query.Uncounted)
	if err != nil {
		return rest, err
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e leaderboard.HistoryEvent, err error) {
		var columns []int64
		err = row.Scan(&e.Number, &e.Score, &columns, &e.At, &e.Board)
		e.Columns, e.At = readColumns(columns), e.At.UTC()
		return e, err
	})
	if err != nil {
		return rest, err
	}
	r.part.Events = append(r.part.Events, events...)
	r.adapt(time.Since(begun))
	return span{interval{s.from, from}, loose}, nil
}

// adapt makes the next slice of the log longer or shorter by what the last one took.
func (r *historyReader) adapt(took time.Duration) {
	switch {
	case took < quickSlice:
		r.slice = min(4*r.slice, longestSlice)
	case took > slowSlice:
		r.slice = max(r.slice/2, time.Second)
	}
}
