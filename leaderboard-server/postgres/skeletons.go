package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// skeletonChunk is of how many players skeletons are made in one statement.
	skeletonChunk = 2_000
	// skeletonRun is after which time a run begins no further chunk: the next run goes on.
	skeletonRun = 10 * time.Minute
	// skeletonMargin is how long ago players were registered by whose numbers the progress is
	// recorded: longer than a registration takes, so that none with a lower number is still
	// to come.
	skeletonMargin = time.Hour
)

// fillSkeletons gives skeletons to the usernames of players that servers of the version before
// have registered. Where two look alike, the one with the lower number has it, and both keep
// their names. Any number of servers may do it at once.
func (l *Ledger) fillSkeletons(ctx context.Context) error {
	if l.options.Skeleton == nil {
		return nil
	}

	begun, after := time.Now(), int64(-1)
	for more := true; more && time.Since(begun) < skeletonRun; {
		var err error
		if after, more, err = l.fillSomeSkeletons(ctx, after); err != nil {
			return fmt.Errorf("make the skeletons of usernames: %w", err)
		}
	}
	return nil
}

// registered is a player whose username is looked at. Settled: all players with lower numbers
// are there. Owner: it is no player, see [leaderboard.Owner], and takes no name from any.
type registered struct {
	Number         int64
	Username       string
	Settled, Owner bool
}

// fillSomeSkeletons goes on after a player's number; below 0: after the progress.
func (l *Ledger) fillSomeSkeletons(ctx context.Context, after int64) (last int64, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	rows, err := l.aside.Query(ctx, `
		SELECT number, username, created_at < now() - $3::interval, EXISTS (SELECT FROM owners o WHERE o.player = players.id) FROM players
		WHERE number > greatest($1, (SELECT through FROM skeleton_progress)) ORDER BY number LIMIT $2`, after, skeletonChunk, skeletonMargin)
	if err != nil {
		return after, false, err
	}
	players, err := pgx.CollectRows(rows, pgx.RowToStructByPos[registered])
	if err != nil || len(players) == 0 {
		return after, false, err
	}

	skeletons, numbers, settled := make([]string, 0, len(players)), make([]int64, 0, len(players)), int64(0)
	for _, p := range players {
		if !p.Owner {
			skeletons, numbers = append(skeletons, l.options.Skeleton(p.Username)), append(numbers, p.Number)
		}
		if p.Settled {
			settled = p.Number
		}
	}

	// Of several in the chunk the first one comes first. Who has been erased since is not given
	// one, and who is being erased is waited for.
	_, err = l.aside.Exec(ctx, `
		WITH progress AS (UPDATE skeleton_progress SET through = $3 WHERE through < $3),
			there AS MATERIALIZED (SELECT number FROM players WHERE number = ANY ($2) FOR KEY SHARE)
		INSERT INTO name_skeletons (skeleton, player)
		SELECT skeleton, player FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY n (skeleton, player, place)
		JOIN there ON there.number = n.player ORDER BY place
		ON CONFLICT (skeleton) DO NOTHING`, skeletons, numbers, settled)
	return players[len(players)-1].Number, len(players) == skeletonChunk, err
}
