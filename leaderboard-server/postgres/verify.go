package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Mismatch is a standing that is not the fold of its events.
type Mismatch struct {
	leaderboard.EntryKey
	// Stored and Folded are "score@event", empty where there is none.
	Stored, Folded string
}

// verifySQL folds all events below the checkpoint, in their order, and compares; of standings
// that are made where events are appended, all events.
// Folds 0 to 5 are the first, the highest, the lowest, the latest, the sum and the count;
// in windows only the last three have standings, others what a refold has left. Closed seasons
// that a refold left are by another fold. Before there was a log (xid null) every
// submission broke the ties of the last two, so there the score alone is compared.
var verifySQL = `
	WITH in_seasons AS (
		SELECT e.board, n.number AS season, e.player, e.score, ranked_columns(e.columns, b.columns) AS columns, e.id, b.fold, e.xid, e.segments, false AS from_elsewhere,
			b.fold >= 3 OR b.max_improvement > 0 AND b.fold IN (1, 2) AS appended
		FROM score_events e
		JOIN boards b ON b.number = e.board
		JOIN seasons n ON n.board = e.board AND n.opens_at <= e.at AND (n.closes_at IS NULL OR n.closes_at > e.at)
		WHERE ` + countsSQL("e", "e.board") + `
		UNION ALL
		SELECT e.board, n.number, e.player, e.score, ranked_columns(e.columns, b.columns), e.id, b.fold, e.xid, e.segments, false, true
		FROM score_events e
		JOIN boards b ON b.number = e.board AND b.fold >= 3
		JOIN window_seasons n ON n.board = e.board AND NOT n.swept AND n.board_order IS NULL AND n.opens_at <= e.at AND n.closes_at > e.at
		WHERE ` + countsSQL("e", "e.board") + `
		UNION ALL
		SELECT 1, n.number, e.player, e.score, NULL, e.id, 1, e.xid, e.segments, true, false
		FROM score_events e
		JOIN seasons n ON n.board = 1 AND n.opens_at <= e.at AND (n.closes_at IS NULL OR n.closes_at > e.at)
		WHERE e.global_season IS NOT NULL AND e.board <> 1 AND ` + countsSQL("e", "1") + `
	), counted AS (
		SELECT board, season, player, score, columns, id, fold, xid, appended FROM in_seasons
		UNION ALL
		SELECT i.board, segment_season(i.season, abs(v)), i.player, i.score, i.columns, i.id, i.fold, i.xid, i.fold >= 3
		FROM in_seasons i CROSS JOIN unnest(i.segments) v WHERE (v < 0) = i.from_elsewhere
	), kept AS (
		SELECT c.*, lag(ROW(c.score, c.columns)) OVER (PARTITION BY c.board, c.season, c.player ORDER BY c.id) IS DISTINCT FROM ROW(c.score, c.columns) AS changed,
			row_number() OVER (PARTITION BY c.board, c.season, c.player ORDER BY c.id) = 1 AS first
		FROM counted c, ledger_state l
		WHERE c.appended OR c.xid IS NULL OR c.xid < l.checkpoint OR c.xid >= log_history() | ` + lastOfHistory + `
	), folded AS (
		SELECT board, season, player, min(fold) >= 3 AND bool_or(xid IS NULL) AS untied, CASE min(fold)
			WHEN 0 THEN (array_agg(score ORDER BY id))[1] WHEN 1 THEN max(score) WHEN 2 THEN min(score)
			WHEN 3 THEN (array_agg(score ORDER BY id DESC))[1] WHEN 4 THEN sum(score) ELSE count(*) END AS score,
			CASE min(fold)
			WHEN 0 THEN min(id)
			WHEN 1 THEN (array_agg(id ORDER BY score DESC, columns, id))[1]
			WHEN 2 THEN (array_agg(id ORDER BY score, columns, id))[1]
			WHEN 3 THEN max(id) FILTER (WHERE changed)
			WHEN 4 THEN max(id) FILTER (WHERE first OR score <> 0)
			ELSE max(id) END AS event
		FROM kept GROUP BY board, season, player
	)
	SELECT board, season, player, coalesce(s.score || '@' || s.event, ''), coalesce(f.score || '@' || f.event, '')
	FROM folded f FULL JOIN (
		SELECT * FROM standings s WHERE NOT removed
			AND NOT EXISTS (SELECT FROM retired_rankings r WHERE r.board = s.board AND r.season = whole_season(s.season))
			AND NOT EXISTS (SELECT FROM refolds r WHERE r.board = s.board AND r.season = whole_season(s.season))
			AND NOT EXISTS (SELECT FROM refold_seasons r WHERE r.board = s.board AND r.made = whole_season(s.season))
			AND NOT EXISTS (SELECT FROM window_seasons n JOIN boards b ON b.number = n.board
				WHERE n.board = s.board AND n.number = whole_season(s.season) AND (n.board_order IS NOT NULL OR b.fold < 3))
	) s USING (board, season, player)
	WHERE f.score IS DISTINCT FROM s.score OR f.event IS DISTINCT FROM s.event AND f.untied IS NOT TRUE
	ORDER BY board, season, player LIMIT $1`

// Verify recomputes every standing from the events and returns up to limit
// standings that differ; none, if the ledger is sound. It reads everything: for
// tests and for operations at quiet hours, and only while no partition of events
// has been dropped.
func (l *Ledger) Verify(ctx context.Context, limit int) ([]Mismatch, error) {
	rows, err := l.pool.Query(ctx, verifySQL, limit)
	if err != nil {
		return nil, fmt.Errorf("verify the standings: %w", err)
	}

	mismatches, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Mismatch, err error) {
		err = row.Scan(&m.Board, &m.Season, &m.Player, &m.Stored, &m.Folded)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("verify the standings: %w", err)
	}

	return mismatches, nil
}
