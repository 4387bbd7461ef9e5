package postgres

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// foldedPlayersSQL reports the best players by what the board's scoring makes of their
// events. Its arguments are those of topPlayersSQL. Unlike there, every player of every part
// is needed: who is last in each month may have the greatest sum of all.
//
// A sum is a text, as it may be beyond what a score can be. The last column says that the
// rollups do not tell which event reached a score, see latestSQL.
const foldedPlayersSQL = `
	WITH rollups AS (
		SELECT true AS monthly, unnest($4::date[]) AS start
		UNION ALL
		SELECT false, unnest($5::date[])
	), recent AS (
		SELECT true AS hourly, unnest($10::timestamptz[]) AS start
		UNION ALL
		SELECT false, unnest($11::timestamptz[])
	), parts AS (
		SELECT {event}
		FROM (
			SELECT * FROM score_events WHERE at >= $6 AND at < $7
			UNION ALL
			SELECT * FROM score_events WHERE at >= $8 AND at < $9{periods}
		) e
		WHERE board = $1{event counts}
		UNION ALL
		SELECT board, player, submissions, score, event, last, other
		FROM (SELECT start, {rollup} FROM rollups JOIN report_folds f USING (monthly, start) WHERE f.board = $1) f WHERE true{kept fold}
		UNION ALL
		SELECT board, player, submissions, score, event, last, other
		FROM (SELECT start, {rollup} FROM recent JOIN report_recent_folds f USING (hourly, start) WHERE f.board = $1) f WHERE true{kept recent fold}
	), folded AS MATERIALIZED ({fold}
	)
	SELECT row_number() OVER (ORDER BY $3 * t.score DESC, abs(t.event)), p.id::text, p.username, ` + ownerSQL + `, b.name, t.score::text, t.submissions::bigint,
		(SELECT bool_or(event = 0) FROM folded)
	FROM (SELECT * FROM folded ORDER BY $3 * score DESC, abs(event) LIMIT $2) t
	JOIN players p ON p.number = t.player ` + joinOwnerSQL + `
	JOIN boards b ON b.number = t.board
	ORDER BY 1`

// foldedPlayers reports by the folded events of each player: from the rollups, or, where
// those do not tell the order of equal scores, from the events alone.
func foldedPlayers(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, r moderatedReport, limit int) ([]leaderboard.ReportRow, error) {
	report, known, err := readFolded(ctx, tx, board, r, limit)
	if err != nil || known {
		return report, err
	}

	r.split, r.events = r.ofEvents(), nil
	report, _, err = readFolded(ctx, tx, board, r, limit)
	return report, err
}

func readFolded(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, of moderatedReport, limit int) (report []leaderboard.ReportRow, known bool, err error) {
	rows, err := tx.Query(ctx, of.sql.Replace(foldedSQL(board.Scoring, foldedPlayersSQL)), of.arguments(board, limit)...)
	if err != nil {
		return nil, false, err
	}

	known = true
	report, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r leaderboard.ReportRow, err error) {
		var score string
		var unknown bool
		if err := row.Scan(&r.Rank, &r.Player, &r.Username, &r.OwnerID, &r.OwnerName, &r.Board, &score, &r.Submissions, &unknown); err != nil {
			return r, err
		}

		known = known && !unknown
		r.Score, err = strconv.ParseInt(score, 10, 64)
		if err != nil || r.Score < -leaderboard.MaxScore || r.Score > leaderboard.MaxScore {
			return r, leaderboard.Errorf(leaderboard.CodeOutOfRange, "end_date", "the sum of player %s within these days is %s, beyond +-%d: ask for other days",
				r.Username, score, int64(leaderboard.MaxScore))
		}
		return r, nil
	})
	return report, known, err
}
