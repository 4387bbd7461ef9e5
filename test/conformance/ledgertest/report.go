package ledgertest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// PlainTopPlayers is what a report must equal: the events of the range in their order, folded
// one by one as a board folds them.
func PlainTopPlayers(ctx context.Context, conn *pgx.Conn, board leaderboard.LiveBoard, from, to time.Time, limit int) ([]leaderboard.ReportRow, error) {
	rows, err := conn.Query(ctx, `
		SELECT e.id, e.score, e.board, b.name, p.number, p.id::text, p.username
		FROM score_events e JOIN players p ON p.number = e.player JOIN boards b ON b.number = e.board
		WHERE at >= $2 AND at < $3 AND CASE WHEN $1 = 1 THEN global_season IS NOT NULL ELSE board = $1 END
		ORDER BY e.id`, int64(board.Number), from, to)
	if err != nil {
		return nil, err
	}

	fold := leaderboard.Fold{Order: board.Order, Scoring: board.Scoring} // reports go by the score alone
	standings, reported, names := make(map[int64]leaderboard.Standing), make(map[int64]leaderboard.ReportRow), make(map[int32]string)
	var event, score, player int64
	var origin int32
	var name string
	var row leaderboard.ReportRow
	_, err = pgx.ForEachRow(rows, []any{&event, &score, &origin, &name, &player, &row.Player, &row.Username}, func() error {
		single := leaderboard.Single(leaderboard.EntryKey{Player: player}, score, event, origin)
		before, had := standings[player]
		after, ok := board.Scoring.Begin(single), true
		if had {
			after, _, ok = fold.Append(before, single)
		}
		if !ok {
			return fmt.Errorf("the sum of %s leaves the bounds", row.Username)
		}

		row.Submissions = reported[player].Submissions + 1
		standings[player], reported[player], names[origin] = after, row, name
		return nil
	})
	if err != nil {
		return nil, err
	}

	report := make([]leaderboard.ReportRow, 0, len(standings))
	for i, s := range ranked(fold, standings) {
		if i == limit {
			break
		}
		row := reported[s.Player]
		row.Rank, row.Score, row.Board = int64(i+1), s.Score, names[s.Origin]
		report = append(report, row)
	}
	return report, nil
}

func ranked(fold leaderboard.Fold, standings map[int64]leaderboard.Standing) []leaderboard.Standing {
	list := make([]leaderboard.Standing, 0, len(standings))
	for _, s := range standings {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b leaderboard.Standing) int {
		if fold.Before(a, b) {
			return -1
		}
		return 1
	})
	return list
}
