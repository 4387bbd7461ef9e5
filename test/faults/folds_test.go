package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
)

// shiftedFolds are what the board shift may become.
var shiftedFolds = []string{
	`"order": "Descending", "scoring": "Best"`, `"order": "Ascending", "scoring": "Best"`, `"order": "Descending", "scoring": "First"`,
	`"order": "Ascending", "scoring": "Latest"`, `"order": "Descending", "scoring": "Sum"`, `"order": "Ascending", "scoring": "Count"`,
}

// shiftedColumns are what those of the board rally may become.
var shiftedColumns = []string{
	unshiftedColumns, `"columns": [{"name": "serial", "order": "Ascending"}, {"name": "medals", "order": "Descending"}]`,
	`"columns": [{"name": "medals", "order": "Ascending"}, {"name": "serial", "order": "Descending"}]`,
}

// shift has boards get another fold, or other columns, as an operator does that mounts another
// boards file.
func (w *world) shift(random *rand.Rand) error {
	w.fold, w.columns = shiftedFolds[random.IntN(len(shiftedFolds))], shiftedColumns[random.IntN(len(shiftedColumns))]
	changed := strings.Replace(boards, unshifted, `{"name": "shift", "countsTowardGlobal": false, `+w.fold+`}`, 1)
	changed = strings.Replace(changed, unshiftedColumns, w.columns, 1)
	mounted := w.BoardsFile() + ".new"
	if err := os.WriteFile(mounted, []byte(changed), 0o600); err != nil {
		return err
	}
	return os.Rename(mounted, w.BoardsFile())
}

// hasShifted checks that the boards have the fold and the columns that were asked for last.
func (w *world) hasShifted(ctx context.Context, conn *pgx.Conn) error {
	if w.fold == "" {
		return nil
	}
	var fold, columns string
	err := conn.QueryRow(ctx, `SELECT format('"order": "%s", "scoring": "%s"', s.board_order, s.scoring),
			(SELECT format('"columns": [%s]', string_agg(format('{"name": "%s", "order": "%s"}', c.value ->> 'name', c.value ->> 'order'), ', ' ORDER BY c.place))
				FROM jsonb_array_elements(r.columns) WITH ORDINALITY c (value, place))
		FROM boards s, boards r WHERE s.name = 'shift' AND r.name = 'rally'`).Scan(&fold, &columns)
	if err != nil {
		return err
	}
	if fold != w.fold || columns != w.columns {
		var refolds string
		err := conn.QueryRow(ctx, "SELECT coalesce(json_agg(r)::text, 'none') FROM refolds r").Scan(&refolds)
		return errors.Join(fmt.Errorf("the board shift has %s instead of %s, and rally %s instead of %s; refolds: %s", fold, w.fold, columns, w.columns, refolds), err)
	}
	return nil
}

// readHistory checks that what a player submitted is there, the newest first, with all that
// is known to be acknowledged.
func (c *crowd) readHistory(ctx context.Context, random *rand.Rand) {
	player, board := c.world.Players[random.IntN(len(c.world.Players))], []string{"race", "golf"}[random.IntN(2)]
	replica, asked := c.world.one(random), time.Now()
	c.reads.Add(1)
	past, err := replica.history(ctx, player.Token, board, player.ID)
	var problem *gameclient.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusTooManyRequests:
		c.refused.Add(1)
		return
	case err != nil:
		c.tolerate("history", err)
		return
	}

	has := make(map[int64]bool, len(past)) // no two submissions have the same score
	for _, s := range past {
		if has[s.Score] {
			c.violated("the history of %s on %s has %d twice", player.ID, board, s.Score)
		}
		has[s.Score] = true
	}
	for _, r := range c.memory.recordsOf(player.ID, board) {
		if r.acknowledged.Before(asked) && !has[r.score] {
			c.violated("the history of %s on %s, asked for at %s, is without %s", player.ID, board, clock(asked), r)
		}
	}
}

// history reads all parts of a player's history.
func (r *replica) history(ctx context.Context, token, board, player string) (past []gameclient.PastSubmission, err error) {
	for cursor := ""; ; {
		part, err := r.client.History(ctx, token, board, player, cursor)
		if err != nil {
			return nil, err
		}
		past = append(past, part.Submissions...)
		if cursor = part.NextCursor; cursor == "" {
			return past, nil
		}
	}
}

// comparedHistories is of how many players the histories are compared.
const comparedHistories = 3

// compareHistories checks that each replica tells of some players what the log has.
func (w *world) compareHistories(ctx context.Context, conn *pgx.Conn) error {
	for _, player := range w.Players[:comparedHistories] {
		for _, board := range []string{"race", "rally", "shift"} {
			rows, err := conn.Query(ctx, `SELECT e.id, e.score FROM score_events e JOIN boards b ON b.number = e.board
				WHERE b.name = $1 AND e.player = $2 ORDER BY e.at DESC, e.id DESC`, board, player.Number)
			if err != nil {
				return err
			}
			want, err := pgx.CollectRows(rows, pgx.RowToStructByPos[gameclient.PastSubmission])
			if err != nil {
				return err
			}

			for _, r := range w.replicas {
				got, err := r.history(ctx, player.Token, board, player.ID)
				if err != nil {
					return err
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					return fmt.Errorf("the history of %s on %s is %v at %s instead of %v", player.ID, board, got, r.name, want)
				}
			}
		}
	}
	return nil
}
