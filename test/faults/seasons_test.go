package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
)

// seasonBoards have the window daily: one whose seasons are folded from the log, and one
// whose standings are made in the transaction.
var seasonBoards = []string{"race", "mood"}

// endSeasons ends the open seasons while scores come in.
func endSeasons(ctx context.Context, w *world) error {
	conn, err := w.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	for _, board := range seasonBoards {
		if _, err := conn.Exec(ctx, "SELECT end_season($1, 'daily', NULL, '-infinity')", board); err != nil {
			return fmt.Errorf("end the season of board %s: %w", board, err)
		}
	}
	return nil
}

// seasonSQL is a season in rank order, by nothing but the log: of race the best score, of
// mood the latest, which the first of equal ones in a row reached.
const seasonSQL = `
	WITH counted AS (
		SELECT e.player, e.score, e.id, lag(e.score) OVER (PARTITION BY e.player ORDER BY e.id) AS previous
		FROM score_events e WHERE e.board = $1 AND e.at >= $2 AND e.at < $3
	), folded AS (
		SELECT player, CASE WHEN $4 THEN (array_agg(score ORDER BY id DESC))[1] ELSE max(score) END AS score,
			CASE WHEN $4 THEN max(id) FILTER (WHERE previous IS DISTINCT FROM score) ELSE (array_agg(id ORDER BY score DESC, id))[1] END AS event
		FROM counted GROUP BY player
	)
	SELECT row_number() OVER (ORDER BY f.score DESC, f.event), p.id::text, p.username, f.score, $5::text
	FROM folded f JOIN players p ON p.number = f.player ORDER BY 1 LIMIT 100`

// seasonBounds is a season as the ledger has it.
type seasonBounds struct {
	board, ordinal int32
	opens, closes  time.Time
	closed         bool
}

// compareSeasons checks that every replica's first entries of the open season, and the
// results of every closed one, are the fold of the log, and that none that is over stays
// open.
func (w *world) compareSeasons(ctx context.Context, conn *pgx.Conn, board string) error {
	rows, err := conn.Query(ctx, `SELECT s.board, s.ordinal, s.opens_at, s.closes_at, s.closed_at IS NOT NULL FROM window_seasons s JOIN boards b ON b.number = s.board
		WHERE b.name = $1 AND s.opens_at <= now() ORDER BY s.ordinal`, board)
	if err != nil {
		return err
	}
	seasons, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s seasonBounds, err error) {
		err = row.Scan(&s.board, &s.ordinal, &s.opens, &s.closes, &s.closed)
		return s, err
	})
	if err != nil {
		return err
	}

	for i, s := range seasons {
		if s.closed == (i == len(seasons)-1) || i > 0 && !s.opens.Equal(seasons[i-1].closes) {
			return fmt.Errorf("of %d seasons of board %s number %d is %+v", len(seasons), board, i+1, s)
		}
		rows, err := conn.Query(ctx, seasonSQL, s.board, s.opens, s.closes, board == "mood", board)
		if err != nil {
			return err
		}
		want, err := pgx.CollectRows(rows, pgx.RowToStructByPos[boardEntry])
		if err != nil {
			return err
		}
		asked := s.ordinal
		if !s.closed {
			asked = 0
		}
		if err := w.compareFirst(ctx, board, gameclient.View{Window: "daily", Season: asked}, want); err != nil {
			return fmt.Errorf("season %d of board %s: %w", s.ordinal, board, err)
		}
	}
	return nil
}

// compareFirst checks that every replica's first entries of a part of a board are these.
func (w *world) compareFirst(ctx context.Context, board string, of gameclient.View, want []boardEntry) error {
	for _, r := range w.replicas {
		got, err := r.client.First(ctx, board, of, shownEntries)
		if err == nil && len(got) != len(want) {
			err = fmt.Errorf("it has %d entries instead of %d", len(got), len(want))
		}
		for i := range got {
			if err == nil && got[i] != gameclient.Entry(want[i]) {
				err = fmt.Errorf("it has %+v instead of %+v", got[i], want[i])
			}
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s differs", r.name), err)
		}
	}
	return nil
}
