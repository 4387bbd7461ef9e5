package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// recountTimeout bounds what is read of a player's events before anybody has to wait for it.
const recountTimeout = 10 * time.Second

// moderated is a player on whom a moderator is at work.
type moderated struct {
	leaderboard.PlayerName
	createdAt time.Time
	state     leaderboard.PlayerState
}

// Moderate implements [leaderboard.Moderator]. What an action changes and its record are
// committed together; then the leader is woken, and the rankings follow.
func (l *Ledger) Moderate(ctx context.Context, m leaderboard.Moderation) (record leaderboard.AuditRecord, err error) {
	board := leaderboard.LiveBoard{}
	if m.Board != "" {
		if board, err = l.Catalog().Lookup(m.Board); err != nil {
			return record, err
		}
	}

	var act func(ctx context.Context, tx pgx.Tx, player moderated) (changed bool, err error)
	switch m.Action {
	case leaderboard.Ban, leaderboard.Unban:
		act = ban(m.Action == leaderboard.Ban)
	case leaderboard.ShadowBan, leaderboard.ShadowUnban:
		act = exclude("shadow", 0, m.Action == leaderboard.ShadowBan)
	case leaderboard.Hide, leaderboard.Unhide:
		act = exclude("hidden", board.Number, m.Action == leaderboard.Hide)
	case leaderboard.Remove, leaderboard.Restore, leaderboard.Void, leaderboard.Unvoid:
		return l.recount(ctx, m, board)
	default:
		return record, fmt.Errorf("there is no moderation %q", m.Action)
	}
	return l.moderate(ctx, m, act)
}

// IssueReset implements [leaderboard.Moderator].
func (l *Ledger) IssueReset(ctx context.Context, m leaderboard.Moderation, token leaderboard.SecretHash) (leaderboard.AuditRecord, error) {
	return l.record(ctx, m, func(ctx context.Context, tx pgx.Tx, player moderated) (bool, error) {
		if err := refuseOwner(ctx, tx, m.Player); err != nil {
			return false, err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO password_resets (player, token_hash, expires_at) VALUES ($1, $2, now() + $3::interval)
			ON CONFLICT (player) DO UPDATE SET token_hash = excluded.token_hash, expires_at = excluded.expires_at`,
			player.Number, token[:], leaderboard.ResetTTL)
		return true, err
	})
}

// moderate runs an action that rankings follow in the transaction of its record.
func (l *Ledger) moderate(ctx context.Context, m leaderboard.Moderation, act func(context.Context, pgx.Tx, moderated) (bool, error)) (leaderboard.AuditRecord, error) {
	return l.record(ctx, m, func(ctx context.Context, tx pgx.Tx, player moderated) (bool, error) {
		changed, err := act(ctx, tx, player)
		if err != nil || !changed {
			return false, err
		}
		return true, noteModeration(ctx, tx, player.Number, 0)
	})
}

// record runs an action on a player in the transaction of its record.
func (l *Ledger) record(ctx context.Context, m leaderboard.Moderation, act func(context.Context, pgx.Tx, moderated) (bool, error)) (record leaderboard.AuditRecord, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		head, err := lockAuditHead(ctx, tx)
		if err != nil {
			return err
		}
		player, err := findModerated(ctx, tx, m.Player)
		if err != nil {
			return err
		}
		changed, err := act(ctx, tx, player)
		if err != nil {
			return err
		}
		if record, err = l.addRecord(ctx, tx, head, m.Record(changed)); err != nil {
			return err
		}
		return l.announceBan(ctx, tx, player, record)
	})
	return record, moderationError(err)
}

// announceBan tells webhooks of a player who was banned.
func (l *Ledger) announceBan(ctx context.Context, tx pgx.Tx, player moderated, r leaderboard.AuditRecord) error {
	if !r.Changed || r.Action != leaderboard.Ban && r.Action != leaderboard.ShadowBan {
		return nil
	}

	told := leaderboard.PlayerBanned{UserID: player.ID, Username: player.Username, OwnerID: player.OwnerID, OwnerName: player.OwnerName, Action: r.Action, Record: r.Number, Actor: r.Actor, Reason: r.Reason}
	return l.Enqueue(ctx, tx, leaderboard.WebhookEvent{Type: leaderboard.EventPlayerBanned, Board: globalNumber, At: r.At, Data: func(int) any { return told }})
}

// moderationError is that of a transaction of a moderation.
func moderationError(err error) error {
	var told *leaderboard.Error
	if err == nil || errors.As(err, &told) {
		return err
	}
	return unavailable("moderate", err)
}

func findModerated(ctx context.Context, from querier, id leaderboard.PlayerID) (p moderated, err error) {
	parsed, err := uuid.Parse(string(id))
	if err != nil {
		return p, noPlayer()
	}
	err = from.QueryRow(ctx, playerNamesSQL(", p.created_at, p.state")+"p.id = $1", [16]byte(parsed)).Scan(&p.Number, &p.ID, &p.Username, &p.OwnerID, &p.OwnerName, &p.createdAt, &p.state)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, noPlayer()
	}
	return p, err
}

// exclude leaves the player out of the rankings of a board, 0 all, or has the player in them.
func exclude(kind string, board int32, out bool) func(context.Context, pgx.Tx, moderated) (bool, error) {
	sql := "DELETE FROM exclusions WHERE player = $1 AND board = $2 AND kind = $3"
	if out {
		sql = "INSERT INTO exclusions (player, board, kind) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
	}
	return func(ctx context.Context, tx pgx.Tx, player moderated) (bool, error) {
		tag, err := tx.Exec(ctx, sql, player.Number, board, kind)
		return tag.RowsAffected() > 0, err
	}
}

// ban leaves the player out of all rankings and disables the account, or gives it back the state
// that it had.
func ban(out bool) func(context.Context, pgx.Tx, moderated) (bool, error) {
	return func(ctx context.Context, tx pgx.Tx, player moderated) (bool, error) {
		if !out {
			tag, err := tx.Exec(ctx, `
				WITH banned AS (DELETE FROM exclusions WHERE player = $1 AND kind = 'ban' RETURNING state)
				UPDATE players SET state = banned.state FROM banned WHERE number = $1`, player.Number)
			return tag.RowsAffected() > 0, err
		}

		tag, err := tx.Exec(ctx, `
			WITH banned AS (INSERT INTO exclusions (player, board, kind, state) VALUES ($1, 0, 'ban', $2) ON CONFLICT DO NOTHING RETURNING player)
			UPDATE players SET state = $3 FROM banned WHERE number = banned.player`, player.Number, player.state, leaderboard.PlayerDisabled)
		return tag.RowsAffected() > 0, err
	}
}

// noteModeration has the rankings follow: whoever leads is woken when the transaction is
// committed. The caller has the lock on the audit's head.
func noteModeration(ctx context.Context, tx pgx.Tx, player, through int64) error {
	_, err := tx.Exec(ctx, "INSERT INTO moderations (number, player, through) SELECT "+lastModerationSQL+" + 1, $1, $2", player, through)
	if err != nil {
		return fmt.Errorf("note the moderation: %w", err)
	}
	if _, err := tx.Exec(ctx, "SELECT pg_notify("+channelSQL+", '')"); err != nil {
		return fmt.Errorf("wake the leader: %w", err)
	}
	return nil
}

// EndSeason implements [leaderboard.Moderator].
func (l *Ledger) EndSeason(ctx context.Context, m leaderboard.Moderation) (record leaderboard.AuditRecord, ends time.Time, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		head, err := lockAuditHead(ctx, tx)
		if err != nil {
			return err
		}
		var at *time.Time
		if err := tx.QueryRow(ctx, "SELECT end_season($1, $2, NULL, '-infinity')", m.Board, m.Window).Scan(&at); err != nil {
			return err
		}
		if at == nil {
			return leaderboard.Errorf(leaderboard.CodeNoSeason, "window", "no season of window %s of board %s is open, or the next one is not announced yet: try again in a second", m.Window, m.Board)
		}
		ends = at.UTC()
		record, err = l.addRecord(ctx, tx, head, m.Record(true))
		return err
	})
	return record, ends, moderationError(err)
}
