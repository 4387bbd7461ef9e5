package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

// countries are those that players may have.
var countries = []string{"DE", "FR", "JP"}

// segmentedBoards are split by country.
var segmentedBoards = []string{"race", "global"}

// shownEntries is how many entries of a segment are compared, the first ones.
const shownEntries = 100

// someCountry are the attributes of a player, now and then none.
func someCountry(random *rand.Rand) map[string]string {
	if random.IntN(5) == 0 {
		return map[string]string{}
	}
	return map[string]string{"country": countries[random.IntN(len(countries))]}
}

// move has a player change its country, as often as it may.
func (c *crowd) move(ctx context.Context, player site.Player, random *rand.Rand) {
	err := c.world.one(random).client.SetAttributes(ctx, player.Token, someCountry(random))
	var problem *gameclient.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusTooManyRequests:
		c.refused.Add(1)
	case err != nil:
		c.tolerate("attributes", err)
	}
}

// readSegment checks that the entries of a segment were submitted and come in rank order.
func (c *crowd) readSegment(ctx context.Context, random *rand.Rand) {
	board, country := segmentedBoards[random.IntN(len(segmentedBoards))], countries[random.IntN(len(countries))]
	replica := c.world.one(random)
	entries, err := replica.client.First(ctx, board, gameclient.View{Segment: "country:" + country}, shownEntries)
	c.reads.Add(1)
	if err != nil {
		c.tolerate("segment", err)
		return
	}

	for i, e := range entries {
		if e.Rank != int64(i)+1 || i > 0 && e.Score > entries[i-1].Score {
			c.violated("%s shows rank %d with %d at place %d of %s on %q", replica.name, e.Rank, e.Score, i+1, country, board)
		}
		if e.UserID != "" && !c.memory.plausible(board, e) {
			c.violated("%s shows player %s with %d in %s on %q (from %s), which was never submitted", replica.name, e.UserID, e.Score, country, board, e.GameID)
		}
	}
}

// segmentSQL is a segment of all time in rank order, and of the season that is open, by
// nothing but the log: events say in which segments they count, below 0 on global.
const segmentSQL = `
	WITH segment AS (
		SELECT b.number AS board, v.number AS value, s.opens_at FROM boards b CROSS JOIN attribute_values v
			LEFT JOIN window_seasons s ON $3 AND s.board = b.number AND s.opens_at <= now() AND s.closes_at > now()
		WHERE b.name = $1 AND v.value = $2
	), folded AS (
		SELECT DISTINCT ON (e.player) e.player, e.score, e.id, e.board FROM score_events e JOIN segment s
			ON e.board = s.board AND s.value = ANY (e.segments) OR s.board = 1 AND e.board <> 1 AND -s.value = ANY (e.segments)
		WHERE NOT $3 OR e.at >= s.opens_at
		ORDER BY e.player, e.score DESC, e.id
	)
	SELECT row_number() OVER (ORDER BY f.score DESC, f.id), p.id::text, p.username, f.score, o.name
	FROM folded f JOIN players p ON p.number = f.player JOIN boards o ON o.number = f.board ORDER BY 1 LIMIT $4`

// compareSegments checks that every replica's first entries of each segment are the fold of
// the log.
func (w *world) compareSegments(ctx context.Context, conn *pgx.Conn) error {
	for _, board := range segmentedBoards {
		for _, country := range countries {
			views := []gameclient.View{{Segment: "country:" + country}}
			if board == "race" {
				views = append(views, gameclient.View{Segment: "country:" + country, Window: "daily"})
			}
			for _, view := range views {
				rows, err := conn.Query(ctx, segmentSQL, board, country, view.Window != "", shownEntries)
				if err != nil {
					return err
				}
				want, err := pgx.CollectRows(rows, pgx.RowToStructByPos[boardEntry])
				if err != nil {
					return err
				}
				if err := w.compareFirst(ctx, board, view, want); err != nil {
					return fmt.Errorf("%+v of board %s: %w", view, board, err)
				}
			}
		}
	}
	return nil
}

// metadataSQL is what came with the first entries of a board of the best scores.
const metadataSQL = `
	SELECT coalesce(m.metadata, 'null') ` + standingsSQL + ` LEFT JOIN event_metadata m ON m.event = s.event
	` + inRankOrder + ` LIMIT $2`

// compareMetadata checks that every replica shows entries with what came with them.
func (w *world) compareMetadata(ctx context.Context, conn *pgx.Conn) error {
	for _, board := range []string{"golf", "rally", "race"} { // race takes none
		rows, err := conn.Query(ctx, metadataSQL, board, shownEntries)
		if err != nil {
			return err
		}
		want, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			return err
		}

		for _, r := range w.replicas {
			got, err := r.client.Described(ctx, board, gameclient.View{}, shownEntries)
			if err != nil {
				return err
			}
			if len(got) != len(want) {
				return fmt.Errorf("%s has %d entries of board %s with metadata instead of %d", r.name, len(got), board, len(want))
			}
			for i := range got {
				if !bytes.Equal(got[i].Metadata, want[i]) {
					return fmt.Errorf("%s has %s with %+v of board %s instead of %s", r.name, got[i].Metadata, got[i].Entry, board, want[i])
				}
			}
		}
	}
	return nil
}
