package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Results are the rankings of closed seasons. It implements [leaderboard.Results] and is
// safe for concurrent use.
type Results struct{ ledger *Ledger }

// Results returns the ledger's.
func (l *Ledger) Results() *Results { return &Results{l} }

// query runs fn with a connection, when it is this call's turn.
func (r *Results) query(ctx context.Context, fn func(ctx context.Context) error) error {
	ctx, done, err := r.ledger.lookUp(ctx, r.ledger.options.Timeout)
	if err != nil {
		return err
	}
	defer done()

	if err := fn(ctx); err != nil {
		return unavailable("read the results of a season", err)
	}
	return nil
}

// Page implements [leaderboard.Ranking].
func (r *Results) Page(ctx context.Context, board leaderboard.LiveBoard, offset, limit int64) (entries []leaderboard.RankingEntry, total int64, err error) {
	o, err := r.overlay(ctx, board)
	if err != nil {
		return nil, 0, err
	}
	if o == nil {
		return r.storedPage(ctx, board, offset, limit)
	}
	return r.pageThrough(ctx, board, o, offset, limit)
}

// storedPage is Page of the results as they were written.
func (r *Results) storedPage(ctx context.Context, board leaderboard.LiveBoard, offset, limit int64) (entries []leaderboard.RankingEntry, total int64, err error) {
	err = r.query(ctx, func(ctx context.Context) error {
		entries, total, err = r.page(ctx, board, offset, limit)
		return err
	})
	return entries, total, err
}

// segmentEntries is SQL for how many entries the results of a segment have.
const segmentEntries = `coalesce((SELECT l.first_rank - 1 + cardinality(l.players) FROM result_ranks l WHERE l.board = %[1]s AND l.season = %[2]s ORDER BY l.first_rank DESC LIMIT 1), 0)`

func (r *Results) page(ctx context.Context, board leaderboard.LiveBoard, offset, limit int64) (entries []leaderboard.RankingEntry, total int64, err error) {
	offset = min(offset, math.MaxInt64/2)
	of, segment := leaderboard.SplitSeason(board.Season)
	count := "s.entries"
	if segment != 0 {
		count = fmt.Sprintf(segmentEntries, "$1", "$2")
	}
	rows, err := r.ledger.pool.Query(ctx, `
		SELECT `+count+`, r.first_rank, r.players[f:t], r.scores[f:t], r.events[f:t], r.origins[f:t], r.columns[(f - 1) * $6 + 1:t * $6], r.ranks[f:t], f
		FROM window_seasons s
		LEFT JOIN result_ranks r ON r.board = s.board AND r.season = $2 AND r.first_rank > $3::bigint - $5 AND r.first_rank <= $3::bigint + $4
		CROSS JOIN LATERAL (SELECT greatest($3 - r.first_rank + 2, 1)::int, least($3 + $4 - r.first_rank + 1, $5)::int) part (f, t)
		WHERE s.board = $1 AND s.number = $7
		ORDER BY r.first_rank`, board.Number, board.Season, offset, limit, int64(resultRow), len(board.Columns), of)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()

	for rows.Next() {
		var first, from *int64
		var row ranksRow
		if err := rows.Scan(&total, &first, &row.players, &row.scores, &row.events, &row.origins, &row.columns, &row.ranks, &from); err != nil {
			return nil, 0, err
		}
		for i := range row.players {
			entries = append(entries, row.entry(board, i, *first+*from-1+int64(i)))
		}
	}
	return entries, total, rows.Err()
}

// entry is one of the row's entries, which has this place on the board.
func (r *ranksRow) entry(board leaderboard.LiveBoard, i int, place int64) leaderboard.RankingEntry {
	e := leaderboard.RankingEntry{Rank: place, Place: place, Player: r.players[i], Score: r.scores[i], Event: r.events[i], Origin: board.Number}
	if r.origins != nil {
		e.Origin = r.origins[i]
	}
	if r.ranks != nil {
		e.Rank = r.ranks[i]
	}
	if n := len(board.Columns); n > 0 && len(r.columns) >= (i+1)*n {
		e.Columns = board.Fold().Submitted(readColumns(r.columns[i*n : (i+1)*n]))
	}
	return e
}

// Rank implements [leaderboard.Ranking].
func (r *Results) Rank(ctx context.Context, board leaderboard.LiveBoard, player int64) (leaderboard.OwnEntry, error) {
	entries, err := r.Ranks(ctx, []leaderboard.EntryQuery{{Board: board, Player: player}})
	if err != nil {
		return leaderboard.OwnEntry{}, err
	}
	if entries[0].Rank == 0 {
		return leaderboard.OwnEntry{}, leaderboard.Errorf(leaderboard.CodeNoEntry, "", "the player has no score in this season of board %s", board.Name)
	}
	return entries[0], nil
}

// Ranks implements [leaderboard.Ranking].
func (r *Results) Ranks(ctx context.Context, queries []leaderboard.EntryQuery) (entries []leaderboard.OwnEntry, err error) {
	if entries, err = r.storedRanks(ctx, queries); err != nil {
		return nil, err
	}
	return entries, r.overlayRanks(ctx, queries, entries)
}

// storedRanks is Ranks of the results as they were written.
func (r *Results) storedRanks(ctx context.Context, queries []leaderboard.EntryQuery) (entries []leaderboard.OwnEntry, err error) {
	boards, seasons, players, columns := make([]int32, len(queries)), make([]int32, len(queries)), make([]int64, len(queries)), make([]int32, len(queries))
	for i, q := range queries {
		boards[i], seasons[i], players[i], columns[i] = q.Board.Number, q.Board.Season, q.Player, int32(len(q.Board.Columns))
	}

	err = r.query(ctx, func(ctx context.Context) error {
		rows, err := r.ledger.pool.Query(ctx, `
			SELECT found.place, CASE WHEN q.season < 0 THEN `+fmt.Sprintf(segmentEntries, "q.board", "q.season")+` ELSE s.entries END, e.scores[i:i], e.events[i:i], e.origins[i:i], e.columns[(i - 1) * q.columns + 1:i * q.columns], e.ranks[i:i], e.better[i:i]
			FROM unnest($1::int[], $2::int[], $3::bigint[], $5::int[]) WITH ORDINALITY q (board, season, player, columns, ordinal)
			LEFT JOIN window_seasons s ON s.board = q.board AND s.number = q.season
			LEFT JOIN LATERAL (
				SELECT players, ranks FROM result_players p
				WHERE p.board = q.board AND p.season = q.season AND p.first_player <= q.player ORDER BY p.first_player DESC LIMIT 1
			) part ON true
			LEFT JOIN LATERAL (SELECT part.ranks[array_position(part.players, q.player)] AS place) found ON true
			LEFT JOIN result_ranks e ON e.board = q.board AND e.season = q.season AND e.first_rank = (found.place - 1) / $4 * $4 + 1
			LEFT JOIN LATERAL (SELECT (found.place - e.first_rank + 1)::int AS i) part_of ON true
			ORDER BY q.ordinal`, boards, seasons, players, int64(resultRow), columns)
		if err != nil {
			return err
		}
		defer rows.Close()

		for rows.Next() {
			var place, total pgtype.Int8
			var row ranksRow
			if err := rows.Scan(&place, &total, &row.scores, &row.events, &row.origins, &row.columns, &row.ranks, &row.better); err != nil {
				return err
			}
			q := queries[len(entries)]
			if !place.Valid || len(row.scores) == 0 {
				entries = append(entries, leaderboard.OwnEntry{})
				continue
			}
			row.players = []int64{q.Player}
			e := leaderboard.OwnEntry{RankingEntry: row.entry(q.Board, 0, place.Int64), Total: total.Int64}
			if e.Better = e.Rank - 1; row.better != nil {
				e.Better = row.better[0]
			}
			entries = append(entries, e)
		}
		return rows.Err()
	})
	return entries, err
}

// AroundPlayer implements [leaderboard.Ranking].
func (r *Results) AroundPlayer(ctx context.Context, board leaderboard.LiveBoard, player, before, after int64) (leaderboard.Neighbours, error) {
	entry, err := r.Rank(ctx, board, player)
	if err != nil {
		return leaderboard.Neighbours{}, err
	}
	return leaderboard.AroundEntry(ctx, r, board, entry.RankingEntry, before, after)
}

// AroundScore implements [leaderboard.Ranking].
func (r *Results) AroundScore(ctx context.Context, board leaderboard.LiveBoard, score, before, after int64) (leaderboard.Neighbours, error) {
	return leaderboard.AroundPlace(ctx, r, board, score, before, after)
}

// CountBetter implements [leaderboard.Ranking].
func (r *Results) CountBetter(ctx context.Context, board leaderboard.LiveBoard, bounds []leaderboard.ScoreBound) ([]int64, error) {
	counts := make([]int64, len(bounds))
	sign := orderOf(board, 1)
	err := r.query(ctx, func(ctx context.Context) error {
		for i, bound := range bounds {
			// Everything before the last row that begins before the bound is before it.
			last := orderOf(board, bound.Score)
			if bound.Included {
				last++
			}
			err := r.ledger.pool.QueryRow(ctx, `
				SELECT coalesce((
					SELECT r.first_rank - 1 + (SELECT count(*) FROM unnest(r.scores) score WHERE $4 * score < $3)
					FROM result_ranks r WHERE r.board = $1 AND r.season = $2 AND r.first_order < $3
					ORDER BY r.first_order DESC, r.first_rank DESC LIMIT 1), 0)`, board.Number, board.Season, last, sign).Scan(&counts[i])
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}

	o, err := r.overlay(ctx, board)
	if err == nil && o != nil {
		o.count(board, bounds, counts)
	}
	return counts, err
}

// BeginWalk implements [leaderboard.Ranking]: results are a snapshot that stays, until somebody
// in them is moderated.
func (r *Results) BeginWalk(ctx context.Context, board leaderboard.LiveBoard) (leaderboard.Walk, error) {
	o, err := r.overlay(ctx, board)
	if err != nil {
		return leaderboard.Walk{}, err
	}
	walk := leaderboard.Walk{Board: board.Number, Season: board.Season, Stamp: o.stampOf()}
	of, _ := leaderboard.SplitSeason(board.Season)
	err = r.query(ctx, func(ctx context.Context) error {
		return r.ledger.pool.QueryRow(ctx, "SELECT closed_at, closed_at + interval '100 years' FROM window_seasons WHERE board = $1 AND number = $2 AND closed_at IS NOT NULL",
			board.Number, of).Scan(&walk.AsOf, &walk.Expires)
	})
	return walk, err
}

// Walk implements [leaderboard.Ranking].
func (r *Results) Walk(ctx context.Context, board leaderboard.LiveBoard, walk leaderboard.Walk, limit int64) (leaderboard.WalkPart, error) {
	if walk.Snapshot != "" {
		return leaderboard.WalkPart{}, leaderboard.WalkEnded() // it began while the season was open
	}

	o, err := r.overlay(ctx, board)
	if err != nil {
		return leaderboard.WalkPart{}, err
	}
	if walk.Stamp != o.stampOf() {
		return leaderboard.WalkPart{}, leaderboard.WalkEnded()
	}

	better, worse := walk, walk
	if walk.Back {
		better.Passed = max(walk.Passed-limit, 0)
	} else {
		worse.Passed += limit
	}
	entries, total, err := r.Page(ctx, board, better.Passed, worse.Passed-better.Passed)
	if err != nil {
		return leaderboard.WalkPart{}, err
	}

	part := leaderboard.WalkPart{Entries: entries, Total: total}
	part.Between(better, worse)
	return part, nil
}
