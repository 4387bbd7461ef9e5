package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Reports of boards whose scoring is not Best fold what each player submitted within a range
// of time. Such a range is made of parts that do not overlap: rollups, and single events.
// What a part says of a player is a row of the expression parts,
//
//	(board, player, submissions, score, event, last, other)
//
// and the folds below join those of a player in another row of the same kind, called folded.
// They do that in the order of events, as [leaderboard.Append] does, whatever the order of
// the parts: an event may have a higher number than one of a later period, where two
// transactions of a player overlapped or a clock was set back.
//
//   - score is the first score, the last one, the sum or the count.
//   - event is the event that reached it. Of a sum, adding 0 reaches nothing: it is the last
//     event that was not 0, or, where all were, the first one, negative. So the greater one
//     of two is that of both. Of Latest, 0 says that the parts do not tell, see latestSQL.
//   - last is of Latest the last event, and other the last one with another score than it
//     has, 0 if there is none.
const (
	firstSQL = `
		SELECT board, player, sum(submissions) AS submissions, (min(ARRAY[event, score]))[2] AS score, min(event) AS event,
			NULL::bigint AS last, NULL::bigint AS other
		FROM parts GROUP BY board, player`

	sumSQL = `
		SELECT board, player, sum(submissions) AS submissions, sum(score) AS score, max(event) AS event,
			NULL::bigint AS last, NULL::bigint AS other
		FROM parts GROUP BY board, player`

	countSQL = `
		SELECT board, player, sum(submissions) AS submissions, sum(submissions) AS score, max(event) AS event,
			NULL::bigint AS last, NULL::bigint AS other
		FROM parts GROUP BY board, player`

	// The score of the last event was reached by the first one after all that had another
	// score. A part that ends with that score has the first event since its own other one; if
	// some other part's comes between that and the part's end, only the events say which
	// one was the first after it.
	latestSQL = `
		SELECT board, player, sum(submissions) AS submissions, max(final) AS score,
			CASE WHEN NOT bool_or(score = final AND event <= changed AND last > changed) THEN min(event) FILTER (WHERE score = final AND event > changed)
				ELSE 0 END AS event,
			max(last) AS last, max(changed) AS other
		FROM (
			SELECT *, max(CASE WHEN score = final THEN other ELSE last END) OVER (PARTITION BY board, player) AS changed
			FROM (SELECT *, first_value(score) OVER (PARTITION BY board, player ORDER BY last DESC) AS final FROM parts) p
		) p
		GROUP BY board, player`
)

const (
	// eventSQL is an event as a part of its own.
	eventSQL = "board, player, 1 AS submissions, score, id AS event, id AS last, 0::bigint AS other"
	// rollupSQL are the parts in a rollup f. As a table function of several arrays, unnest
	// takes twice the time.
	rollupSQL = `f.board, unnest(f.players) AS player, unnest(f.counts) AS submissions, unnest(f.scores) AS score, unnest(f.events) AS event,
			unnest(f.lasts) AS last, unnest(f.others) AS other`
)

// foldedSQL returns a statement with its {event}, {rollup} and {fold} filled in for a scoring,
// which is not Best.
func foldedSQL(scoring leaderboard.Scoring, statement string) string {
	event, fold := eventSQL, ""
	switch scoring {
	case leaderboard.First:
		fold = firstSQL
	case leaderboard.Latest:
		fold = latestSQL
	case leaderboard.Sum:
		event, fold = strings.Replace(eventSQL, "id AS event", "CASE WHEN score = 0 THEN -id ELSE id END AS event", 1), sumSQL
	case leaderboard.Count:
		fold = countSQL
	}
	return strings.NewReplacer("{event}", event, "{rollup}", rollupSQL, "{fold}", fold).Replace(statement)
}

// The statements that roll up folds: $4 the boards, which are all of one scoring.
const (
	foldFoldsSQL = `
	WITH parts AS (
		SELECT {event} FROM score_events WHERE at >= $1::timestamptz AND at < $2::timestamptz AND board = ANY ($4::int[])
	), folded AS ({fold}
	)` + packFoldsSQL

	mergeFoldsSQL = `
	WITH parts AS (
		SELECT {rollup} FROM {folds} f
		WHERE NOT f.{long} AND f.start >= {start} AND f.start < {past} AND f.board = ANY ($4::int[])
	), folded AS ({fold}
	)` + packFoldsSQL

	// 40 players make rows of 1,200 bytes, or 1,900 of Latest.
	packFoldsSQL = `
	INSERT INTO {folds} ({long}, start, board, first_player, players, counts, scores, events, lasts, others)
	SELECT $3::boolean, {start}, board, min(player), array_agg(player ORDER BY player), array_agg(submissions::int ORDER BY player),
		array_agg(score::bigint ORDER BY player), array_agg(event ORDER BY player),
		array_agg(last ORDER BY player) FILTER (WHERE last IS NOT NULL), array_agg(other ORDER BY player) FILTER (WHERE other IS NOT NULL)
	FROM (SELECT *, (row_number() OVER (PARTITION BY board ORDER BY player) - 1) / 40 AS part FROM folded) f
	GROUP BY board, part`
)

// foldFolds folds the boards of each scoring together, as each statement reads all events
// of the period.
func foldFolds(ctx context.Context, tx pgx.Tx, t tier, from, to time.Time) error {
	return eachFolded(ctx, tx, func(scoring leaderboard.Scoring, boards []int32) error {
		_, err := tx.Exec(ctx, t.sql(foldedSQL(scoring, foldFoldsSQL)), from, to, false, boards)
		return err
	})
}

// mergeFolds merges board by board, so that one statement stays small.
func mergeFolds(ctx context.Context, tx pgx.Tx, t tier, from, to time.Time) error {
	return eachFolded(ctx, tx, func(scoring leaderboard.Scoring, boards []int32) error {
		for _, board := range boards {
			if _, err := tx.Exec(ctx, t.sql(foldedSQL(scoring, mergeFoldsSQL)), from, to, true, []int32{board}); err != nil {
				return fmt.Errorf("board %d: %w", board, err)
			}
		}
		return nil
	})
}

// eachFolded calls do with the boards of each scoring but Best, those that are not configured
// any more, too: they may have events. Where there are none, as in most games, nothing is read.
func eachFolded(ctx context.Context, tx pgx.Tx, do func(leaderboard.Scoring, []int32) error) error {
	rows, err := tx.Query(ctx, "SELECT scoring, array_agg(number) AS boards FROM boards WHERE scoring <> 'Best' GROUP BY scoring")
	if err != nil {
		return fmt.Errorf("list the boards: %w", err)
	}

	type folded struct {
		Scoring leaderboard.Scoring
		Boards  []int32
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[folded])
	if err != nil {
		return fmt.Errorf("list the boards: %w", err)
	}

	for _, f := range list {
		if err := do(f.Scoring, f.Boards); err != nil {
			return fmt.Errorf("scoring %s: %w", f.Scoring, err)
		}
	}
	return nil
}
