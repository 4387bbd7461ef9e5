package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// resultRow is how many entries share a row of results, some 30 KB: what a page at any
	// depth reads.
	resultRow = 1_000
	// resultBatch is how many rows one transaction writes: some 20 ms, for which it holds
	// back the watermarks of all games on the server.
	resultBatch = 16
	// readChunk is how many rows are read at a time.
	readChunk = 500
)

// CloseSeason makes the results of the board's season, which is one of a window, and of its
// segments, and says how many entries those of the season have. The caller knows that every transaction has ended whose
// events could count in it: so whoever makes them, and however often, makes the same. They
// are served from the moment that all are there, with which the webhooks are told.
func (l *Ledger) CloseSeason(ctx context.Context, board leaderboard.LiveBoard) (entries int64, err error) {
	if entries, err = l.writeRanks(ctx, board); err != nil {
		return 0, fmt.Errorf("write the results of season %d of board %s: %w", board.Season, board.Name, err)
	}
	if err := l.writePlayers(ctx, board); err != nil {
		return 0, fmt.Errorf("write the ranks of the players of season %d of board %s: %w", board.Season, board.Name, err)
	}

	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error { return l.recordClosed(ctx, tx, board, entries) })
	if err != nil {
		return 0, fmt.Errorf("close season %d of board %s: %w", board.Season, board.Name, err)
	}
	return entries, nil
}

func (l *Ledger) writeRanks(ctx context.Context, board leaderboard.LiveBoard) (entries int64, err error) {
	w := &rankWriter{resultWriter: &resultWriter{ledger: l}, board: board, row: &ranksRow{}}

	// It only reads, for as long as it may take: a transaction that writes would hold back
	// the watermarks of all games on the server.
	err = read(ctx, l.aside, func(ctx context.Context, tx pgx.Tx, progress func()) error {
		if err := alone(ctx, tx); err != nil {
			return err
		}
		// Who is left out is in the results all the same, and passed over when they are read: that
		// may change.
		return readRankings(ctx, tx, board, everybody, readChunk, func(chunk []leaderboard.Standing) error {
			progress()
			defer progress()
			for _, s := range chunk {
				if s.Season == board.Season {
					entries++
				}
				if err := w.add(ctx, s); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil {
		err = w.end(ctx)
	}
	if err == nil {
		err = w.flush(ctx)
	}
	return entries, err
}

// alone keeps a read to one process: what takes seconds is not to take every processor.
func alone(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "SELECT "+reportSettings)
	return err
}

// orderOf turns a score into what results are found by: the best is the lowest.
func orderOf(board leaderboard.LiveBoard, score int64) int64 {
	if board.Order == leaderboard.Descending {
		return -score
	}
	return score
}

func (l *Ledger) writePlayers(ctx context.Context, board leaderboard.LiveBoard) error {
	type place struct {
		season       int32
		player, rank int64
	}
	w := &resultWriter{ledger: l}
	var season int32
	var players, ranks []int64
	flush := func() error {
		if len(players) == 0 {
			return nil
		}
		first, all, of := players[0], players, ranks
		players, ranks = nil, nil
		return w.add(ctx, "INSERT INTO result_players (board, season, first_player, players, ranks) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
			board.Number, season, first, all, of)
	}

	seasons := "= $2"
	if board.Segmented {
		seasons = "IN (SELECT $2 UNION ALL SELECT DISTINCT season FROM result_ranks WHERE board = $1 AND season " + segmentsOf + ")"
	}
	err := read(ctx, l.aside, func(ctx context.Context, tx pgx.Tx, progress func()) error {
		if err := alone(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT r.season, p.player, r.first_rank + p.place - 1
			FROM result_ranks r CROSS JOIN LATERAL unnest(r.players) WITH ORDINALITY p (player, place)
			WHERE r.board = $1 AND r.season `+seasons+` ORDER BY r.season, p.player`, board.Number, board.Season)
		if err != nil {
			return err
		}
		return stream(rows, readChunk, func(chunk []place) error {
			progress()
			defer progress()
			for _, p := range chunk {
				if len(players) == resultRow || p.season != season {
					if err := flush(); err != nil {
						return err
					}
				}
				season, players, ranks = p.season, append(players, p.player), append(ranks, p.rank)
			}
			return nil
		}, func(p *place) []any { return []any{&p.season, &p.player, &p.rank} })
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = w.flush(ctx)
	}
	return err
}

// SweepSeason deletes the standings of the board's closed season and of its segments, whose results say all that
// they do, and records that nothing of it is left in rankings.
func (l *Ledger) SweepSeason(ctx context.Context, board leaderboard.LiveBoard) error {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	if err := l.deleteStandings(ctx, board); err != nil {
		return err
	}

	_, err := l.pool.Exec(ctx, "UPDATE window_seasons SET swept = true WHERE board = $1 AND number = $2 AND closed_at IS NOT NULL", board.Number, board.Season)
	if err != nil {
		return fmt.Errorf("record that season %d of board %s is swept: %w", board.Season, board.Name, err)
	}
	return nil
}

// deleteStandings deletes those of the board's season and of its segments, some at a time.
func (l *Ledger) deleteStandings(ctx context.Context, board leaderboard.LiveBoard) error {
	conditions := []string{"= $2"}
	if board.Segmented {
		conditions = append(conditions, segmentsOf)
	}
	for _, condition := range conditions {
		for deleted := int64(checkpointChunk); deleted == checkpointChunk; {
			tag, err := l.aside.Exec(ctx, `DELETE FROM standings WHERE ctid = ANY (ARRAY(
				SELECT ctid FROM standings WHERE board = $1 AND season `+condition+` LIMIT $3))`, board.Number, board.Season, checkpointChunk)
			if err != nil {
				return fmt.Errorf("delete the standings of season %d of board %s: %w", board.Season, board.Name, err)
			}
			deleted = tag.RowsAffected()
		}
	}
	return nil
}

// DropResults deletes the closed seasons beyond those that their windows keep, and their
// results.
func (l *Ledger) DropResults(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	for {
		// The oldest one at a time: a transaction that deletes much holds others back.
		tag, err := l.aside.Exec(ctx, `
			WITH gone AS (
				DELETE FROM window_seasons WHERE (board, number) = (
					SELECT s.board, s.number FROM window_seasons s JOIN windows w USING (board, name)
					WHERE s.swept AND s.ordinal <= (SELECT max(c.ordinal) - w.keep FROM window_seasons c WHERE c.board = s.board AND c.name = s.name AND c.closed_at IS NOT NULL)
					ORDER BY s.closed_at LIMIT 1)
				RETURNING board, number
			), ranks AS (
				DELETE FROM result_ranks r USING gone WHERE r.board = gone.board AND r.season = gone.number
			), players AS (
				DELETE FROM result_players r USING gone WHERE r.board = gone.board AND r.season = gone.number
			), ranks_in_segments AS (
				DELETE FROM result_ranks r USING gone WHERE r.board = gone.board AND r.season BETWEEN segment_season(gone.number, 1023) AND segment_season(gone.number, 1)
			), players_in_segments AS (
				DELETE FROM result_players r USING gone WHERE r.board = gone.board AND r.season BETWEEN segment_season(gone.number, 1023) AND segment_season(gone.number, 1)
			)
			SELECT FROM gone`)
		if err != nil {
			return fmt.Errorf("drop the results that are no longer kept: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
	}
}
