package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// moderationPage is how many moderations rankings follow at a time.
const moderationPage = 100

// moderationSettles is how long after a moderation what was on its way to a ranking when it was
// made has arrived.
const moderationSettles = time.Hour

// ReadModerations returns the players of the first moderations after a number, each once, as they
// are now, and the number of the last one of those; 0: there are none.
func (l *Ledger) ReadModerations(ctx context.Context, after int64) (players []leaderboard.ModeratedPlayer, last int64, err error) {
	err = read(ctx, l.aside, func(ctx context.Context, tx pgx.Tx, progress func()) error {
		players = nil
		rows, err := tx.Query(ctx, `
			WITH next AS (SELECT number, player FROM moderations WHERE number > $1 ORDER BY number LIMIT $2)
			SELECT player, max(number) FROM next GROUP BY player ORDER BY max(number)`, after, moderationPage)
		if err != nil {
			return err
		}
		if players, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p leaderboard.ModeratedPlayer, err error) {
			err = row.Scan(&p.Player, &p.Number)
			return p, err
		}); err != nil {
			return err
		}

		for i := range players {
			if err := l.readModerated(ctx, tx, &players[i], l.Catalog().All(), ""); err != nil {
				return err
			}
			last = max(last, players[i].Number)
			progress()
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read moderations: %w", err)
	}
	return players, last, nil
}

// ReadPlayer reads once more what rankings are to have of a player who was moderated.
func (l *Ledger) ReadPlayer(ctx context.Context, player int64) (p leaderboard.ModeratedPlayer, err error) {
	p.Player = player
	err = read(ctx, l.aside, func(ctx context.Context, tx pgx.Tx, _ func()) error {
		return l.readModerated(ctx, tx, &p, l.Catalog().All(), "")
	})
	if err != nil {
		return p, fmt.Errorf("read a moderated player: %w", err)
	}
	return p, nil
}

// readModerated reads the player's state on these boards, as if exclusions of the kind but did not
// exclude; empty: all do.
func (l *Ledger) readModerated(ctx context.Context, tx pgx.Tx, p *leaderboard.ModeratedPlayer, boards []leaderboard.LiveBoard, but string) error {
	now := l.Catalog().Now()
	var checkpoint uint64
	p.Standings, p.Events = nil, nil
	err := tx.QueryRow(ctx, `SELECT (SELECT max(through) FROM moderations WHERE player = $1), (SELECT array_agg(board) FROM exclusions WHERE player = $1 AND kind <> $2), greatest(checkpoint, log_history()) FROM ledger_state`,
		p.Player, but).Scan(&p.Through, &p.Excluded, &checkpoint)
	if err != nil {
		return err
	}
	rules, err := readRules(ctx, tx, p.Player)
	if err != nil {
		return err
	}

	events, err := readNewEvents(ctx, tx, p.Player, checkpoint)
	if err != nil {
		return err
	}
	for _, board := range boards {
		if !board.Active || leaderboard.ExcludedFrom(p.Excluded, board.Number) {
			continue
		}
		rankings, since := rankingsOf(board, now)
		for _, ranking := range rankings {
			stored, err := storedOf(ctx, tx, ranking, p.Player)
			if err != nil {
				return err
			}
			p.Standings = append(p.Standings, stored...)
		}
		if since.IsZero() {
			continue
		}
		inWindows, err := readPlayersEvents(ctx, tx, board, p.Player, since)
		if err != nil {
			return err
		}
		events = append(events, inWindows...)
	}

	for _, e := range inOrder(events) {
		event := e.event(p.Excluded)
		event.CountsTowardGlobal = event.CountsTowardGlobal && rules.count(&e, globalNumber)
		if rules.count(&e, e.board) {
			p.Events = append(p.Events, event)
		}
	}
	return nil
}

// rankingsOf are the board's live rankings that have standings, and from when on the events of
// others are read; zero: there are none.
func rankingsOf(board leaderboard.LiveBoard, now time.Time) (rankings []leaderboard.LiveBoard, since time.Time) {
	rankings = []leaderboard.LiveBoard{board}
	for s := range board.OpenAt(now) {
		if board.Scoring.Ordered() {
			rankings = append(rankings, board.In(s.Number))
		} else if since.IsZero() || s.Opens.Before(since) {
			since = s.Opens
		}
	}
	return rankings, since
}

// SettledModeration is the number of the last moderation of which nothing can be on its way to a
// ranking any more: one that is made now needs those after it only. Excluded are the players
// who can still submit and are left out of a board's rankings.
func (l *Ledger) SettledModeration(ctx context.Context, board leaderboard.LiveBoard) (number int64, excluded []int64, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err = l.pool.QueryRow(ctx, `SELECT (SELECT coalesce(max(number), 0) FROM moderations WHERE at < clock_timestamp() - $2::interval),
		ARRAY(SELECT DISTINCT player FROM exclusions WHERE board IN (0, $1) AND kind IN ('shadow', 'hidden'))`, board.Number, moderationSettles).Scan(&number, &excluded)
	if err != nil {
		return 0, nil, unavailable("read which moderations are settled", err)
	}
	return number, excluded, nil
}
