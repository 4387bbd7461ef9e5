package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// recordClosed records that all results of the board's season are there, and tells the
// webhooks with it, unless somebody else has.
func (l *Ledger) recordClosed(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, entries int64) error {
	told := leaderboard.SeasonClosed{Board: board.Name, TotalEntries: entries}
	err := tx.QueryRow(ctx, `UPDATE window_seasons SET closed_at = clock_timestamp(), entries = $3 WHERE board = $1 AND number = $2 AND closed_at IS NULL
		RETURNING name, ordinal, opens_at, closes_at, closed_at`, board.Number, board.Season, entries).
		Scan(&told.Window, &told.Season, &told.OpensAt, &told.ClosesAt, &told.ClosedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	told.OpensAt, told.ClosesAt, told.ClosedAt = told.OpensAt.UTC(), told.ClosesAt.UTC(), told.ClosedAt.UTC()

	subscribers, most := l.subscribers(leaderboard.EventSeasonClosed)
	if len(subscribers) == 0 {
		return nil
	}
	first, err := firstResults(ctx, tx, board, most)
	if err != nil {
		return fmt.Errorf("read the first entries for the webhooks: %w", err)
	}
	leftOut, err := countLeftOut(ctx, tx, board)
	if err != nil {
		return fmt.Errorf("count who is left out, for the webhooks: %w", err)
	}

	told.TotalEntries -= leftOut
	return l.Enqueue(ctx, tx, leaderboard.WebhookEvent{Type: leaderboard.EventSeasonClosed, Board: board.Number, At: told.ClosedAt,
		Data: func(top int) any {
			data := told
			data.Top = first[:min(top, len(first))]
			return data
		}})
}

// firstResults are the first entries of the board's season as they are shown: who is left out of
// rankings is in results all the same. No more are looked at than share a row of results.
func firstResults(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, most int) ([]leaderboard.WebhookResult, error) {
	results := []leaderboard.WebhookResult{}
	if most == 0 {
		return results, nil
	}

	var row ranksRow
	var leftOut []bool
	err := tx.QueryRow(ctx, `SELECT players, scores, events, origins, columns,
			ARRAY(SELECT `+excludedSQL("p.player")+` FROM unnest(players) WITH ORDINALITY p (player, place) ORDER BY p.place)
		FROM result_ranks WHERE board = $1 AND season = $2 AND first_rank = 1`, board.Number, board.Season).
		Scan(&row.players, &row.scores, &row.events, &row.origins, &row.columns, &leftOut)
	if errors.Is(err, pgx.ErrNoRows) {
		return results, nil
	}
	if err != nil {
		return nil, err
	}

	var counted leaderboard.Walk
	var entries []leaderboard.RankingEntry
	var players []int64
	for i := range row.players {
		if leftOut[i] || len(entries) == most {
			continue
		}
		e := row.entry(board, i, int64(i)+1)
		counted.Pass(&e, board.Ranks)
		entries, players = append(entries, e), append(players, e.Player)
	}

	names, err := namesIn(ctx, tx, players)
	if err != nil {
		return nil, err
	}
	boards, err := boardNames(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := names[e.Player]
		results = append(results, leaderboard.WebhookResult{Rank: e.Rank, UserID: name.ID, Username: name.Username, OwnerID: name.OwnerID, OwnerName: name.OwnerName, Score: e.Score,
			GameID: boards[e.Origin], Columns: board.Named(e.Columns)})
	}
	return results, nil
}

// countLeftOut is how many entries of the season's results are of players who are left out of
// the board's rankings.
func countLeftOut(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard) (n int64, err error) {
	err = tx.QueryRow(ctx, `
		SELECT count(*) FROM (SELECT DISTINCT player FROM exclusions WHERE board IN (0, $1)) x
		CROSS JOIN LATERAL (
			SELECT players FROM result_players p
			WHERE p.board = $1 AND p.season = $2 AND p.first_player <= x.player ORDER BY p.first_player DESC LIMIT 1
		) part WHERE x.player = ANY (part.players)`, board.Number, board.Season).Scan(&n)
	return n, err
}

// namesIn reads the names of players by their numbers.
func namesIn(ctx context.Context, tx pgx.Tx, players []int64) (map[int64]leaderboard.PlayerName, error) {
	rows, err := tx.Query(ctx, playerNamesSQL("")+"p.number = ANY ($1)", players)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.PlayerName])
	names := make(map[int64]leaderboard.PlayerName, len(list))
	for _, name := range list {
		names[name.Number] = name
	}
	return names, err
}

// boardNames reads the names of boards by their numbers.
func boardNames(ctx context.Context, tx pgx.Tx) (map[int32]string, error) {
	rows, err := tx.Query(ctx, "SELECT number, name FROM boards")
	if err != nil {
		return nil, err
	}
	names := make(map[int32]string)
	var number int32
	var name string
	_, err = pgx.ForEachRow(rows, []any{&number, &name}, func() error {
		names[number] = name
		return nil
	})
	return names, err
}
