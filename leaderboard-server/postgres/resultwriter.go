package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// ranksRow is a row of result_ranks on its way.
type ranksRow struct {
	firstRank, firstOrder   int64
	players, scores, events []int64
	origins                 []int32
	times                   []*time.Time
	foreign                 bool // a score was made on another board
	// columns are as they are ranked, one entry's after the other's. ranks are nil where they
	// count one by one, and better, how many entries are, unless they are dense.
	columns, ranks, better []int64
}

// add adds the next entry of the board.
func (r *ranksRow) add(board leaderboard.LiveBoard, e leaderboard.OwnEntry) {
	if len(r.players) == 0 {
		r.firstRank, r.firstOrder = e.Place, orderOf(board, e.Score)
	}
	r.players, r.scores = append(r.players, e.Player), append(r.scores, e.Score)
	r.events, r.origins = append(r.events, e.Event), append(r.origins, e.Origin)
	r.foreign = r.foreign || e.Origin != board.Number

	if n := len(board.Columns); n > 0 {
		ranked := board.Fold().Ranked(e.Columns)
		r.columns = append(r.columns, ranked[:n]...)
	}
	if board.Ranks != leaderboard.Ordinal {
		r.ranks = append(r.ranks, e.Rank)
	}
	if board.Ranks == leaderboard.Dense {
		r.better = append(r.better, e.Better)
	}
}

// rankWriter counts the entries of one ranking after the other, and writes their results.
type rankWriter struct {
	*resultWriter
	board   leaderboard.LiveBoard
	row     *ranksRow
	counted leaderboard.Walk
	better  int64
}

// add adds the next standing. The entries of a ranking follow each other.
func (w *rankWriter) add(ctx context.Context, s leaderboard.Standing) error {
	if s.Season != w.board.Season {
		if err := w.end(ctx); err != nil {
			return err
		}
		w.board.Season, w.counted, w.better = s.Season, leaderboard.Walk{}, 0
	}

	e := leaderboard.OwnEntry{Better: w.better}
	e.RankingEntry = leaderboard.RankingEntry{Player: s.Player, Score: s.Score, Columns: s.Columns, Event: s.Event, Origin: s.Origin}
	before := w.counted.Rank
	if w.counted.Pass(&e.RankingEntry, w.board.Ranks); e.Rank != before {
		w.better = w.counted.Passed - 1
		e.Better = w.better
	}
	w.row.add(w.board, e)
	w.row.times = append(w.row.times, reachedAt(s))
	if len(w.row.players) == resultRow {
		return w.end(ctx)
	}
	return nil
}

// end writes the row that was begun.
func (w *rankWriter) end(ctx context.Context) error {
	full := w.row
	if w.row = (&ranksRow{}); len(full.players) == 0 {
		return nil
	}
	var origins []int32
	if full.foreign {
		origins = full.origins
	}
	return w.resultWriter.add(ctx, `INSERT INTO result_ranks (board, season, first_rank, players, scores, events, origins, first_order, columns, ranks, better, reached_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (board, season, first_rank) DO UPDATE SET ranks = excluded.ranks, better = excluded.better`,
		w.board.Number, w.board.Season, full.firstRank, full.players, full.scores, full.events, origins, full.firstOrder, full.columns, full.ranks, full.better, full.times)
}

// resultWriter writes rows of results, some in each transaction.
type resultWriter struct {
	ledger *Ledger
	batch  pgx.Batch
}

func (w *resultWriter) add(ctx context.Context, sql string, args ...any) error {
	if w.batch.Queue(sql, args...); w.batch.Len() < resultBatch {
		return nil
	}
	return w.flush(ctx)
}

func (w *resultWriter) flush(ctx context.Context) error {
	if w.batch.Len() == 0 {
		return nil
	}

	ctx, cancel := w.ledger.deadline(ctx)
	defer cancel()

	batch := w.batch
	w.batch = pgx.Batch{}
	return w.ledger.pool.SendBatch(ctx, &batch).Close()
}
