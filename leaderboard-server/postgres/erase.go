package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Erase implements [leaderboard.Eraser]. Once it is committed nothing says who the player was
// but the names that servers have in memory, the idempotency keys, and the metadata of events:
// see FinishErasures. The events stay, of a player whom nothing names. So what is folded of
// the log stays the same for everybody else, whenever it is folded again.
func (l *Ledger) Erase(ctx context.Context, erasure leaderboard.Moderation, own *leaderboard.Caller) (record leaderboard.AuditRecord, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	var player leaderboard.Player
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		head, err := lockAuditHead(ctx, tx)
		if err != nil {
			return err
		}
		if record, err = erasedBefore(ctx, tx, erasure.Player); err == nil || !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if player, err = l.erase(ctx, tx, erasure.Player, own); err != nil {
			return err
		}
		if record, err = l.addRecord(ctx, tx, head, erasure.Record(true)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO erasures (number, player, record, registered) SELECT "+lastModerationSQL+", $1, $2, $3", player.Number, record.Number, player.CreatedAt)
		return err
	})
	if err != nil {
		return record, moderationError(err)
	}

	if d := l.directory.Load(); d != nil {
		d.forget([]int64{player.Number})
	}
	return record, nil
}

// erasedBefore is the record of a player's erasure; [pgx.ErrNoRows]: there is none.
func erasedBefore(ctx context.Context, tx pgx.Tx, id leaderboard.PlayerID) (record leaderboard.AuditRecord, err error) {
	parsed, err := uuid.Parse(string(id))
	if err != nil {
		return record, noPlayer()
	}
	rows, err := tx.Query(ctx, "SELECT "+auditColumns+" FROM audit WHERE player = $1 AND action = $2 ORDER BY number LIMIT 1", pgtype.UUID{Bytes: parsed, Valid: true}, leaderboard.Erase)
	if err != nil {
		return record, err
	}
	return pgx.CollectExactlyOneRow(rows, scanRecord)
}

// erase deletes who the player is. What others add to that locks the player's row, or comes
// with it: so it is there by now, or never will be; or it is deleted once more by
// FinishErasures.
func (l *Ledger) erase(ctx context.Context, tx pgx.Tx, id leaderboard.PlayerID, own *leaderboard.Caller) (leaderboard.Player, error) {
	player, err := erasable(ctx, tx, id, own)
	if err != nil {
		return player, err
	}
	if err := l.releaseNames(ctx, tx, player); err != nil {
		return player, fmt.Errorf("erase a player: %w", err)
	}

	number := player.Number
	if err := deleteOwned(ctx, tx, number, player.ID); err != nil {
		return player, err
	}
	for _, sql := range []string{"DELETE FROM exclusions WHERE player = $1", "INSERT INTO exclusions (player, board, kind) VALUES ($1, 0, 'erased')"} {
		if _, err := tx.Exec(ctx, sql, number); err != nil {
			return player, fmt.Errorf("erase a player: %w", err)
		}
	}

	if err := noteModeration(ctx, tx, number, 0); err != nil {
		return player, err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM players WHERE number = $1", number); err != nil {
		return player, fmt.Errorf("erase a player: %w", err)
	}
	return player, nil
}

// erasable finds and locks the player.
func erasable(ctx context.Context, tx pgx.Tx, id leaderboard.PlayerID, own *leaderboard.Caller) (leaderboard.Player, error) {
	if own != nil {
		return callersPlayer(ctx, tx, *own)
	}
	return lockPlayer(ctx, tx, id)
}

// releaseNames lets others have the names of the player, also those from before.
func (l *Ledger) releaseNames(ctx context.Context, tx pgx.Tx, player leaderboard.Player) error {
	if l.options.Skeleton == nil { // no index is of the players of skeletons
		_, err := tx.Exec(ctx, "DELETE FROM name_skeletons WHERE player = $1", player.Number)
		return err
	}

	rows, err := tx.Query(ctx, "SELECT username FROM past_names WHERE player = $1", player.Number)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	skeletons := []string{l.options.Skeleton(player.Username)}
	for _, name := range names {
		skeletons = append(skeletons, l.options.Skeleton(name))
	}
	_, err = tx.Exec(ctx, "DELETE FROM name_skeletons WHERE skeleton = ANY ($2) AND player = $1", player.Number, skeletons)
	return err
}

// ownedTables have rows of a player by number.
var ownedTables = []string{"player_attributes", "logins", "password_resets", "player_identities", "past_names", "submission_counts", "held_submissions"}

// deleteOwned deletes all rows of a player that are found by its number or id, but for its own.
func deleteOwned(ctx context.Context, in execer, number int64, id leaderboard.PlayerID) error {
	for _, table := range ownedTables {
		if _, err := in.Exec(ctx, "DELETE FROM "+table+" WHERE player = $1", number); err != nil {
			return fmt.Errorf("delete what %s has of a player: %w", table, err)
		}
	}
	// The last has no index of players: it is of one day.
	for _, table := range []string{"external_ids", "owners", "account_changes"} {
		if _, err := in.Exec(ctx, "DELETE FROM "+table+" WHERE player = $1::text::uuid", string(id)); err != nil {
			return fmt.Errorf("delete what %s has of a player: %w", table, err)
		}
	}
	return nil
}

// execer is what a pool and a transaction have in common.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// readErased are the players who were erased by moderations after one.
func readErased(ctx context.Context, tx pgx.Tx, after int64) ([]int64, error) {
	rows, err := tx.Query(ctx, "SELECT player FROM erasures WHERE number > $1", after)
	if err != nil {
		return nil, fmt.Errorf("read who was erased: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
