package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// auditHead is the row of audit_head.
type auditHead struct {
	leaderboard.AuditHead
	seal string
}

// lockAuditHead reads the head and has all others who add records wait until the transaction
// ends: one after the other, so that numbers have no gap.
func lockAuditHead(ctx context.Context, tx pgx.Tx) (auditHead, error) {
	h, err := readAuditHead(ctx, tx, " FOR UPDATE")
	if err != nil {
		return h, fmt.Errorf("wait for the audit: %w", err)
	}
	return h, nil
}

func readAuditHead(ctx context.Context, from querier, locking string) (h auditHead, err error) {
	var hash []byte
	err = from.QueryRow(ctx, "SELECT number, hash, seal FROM audit_head"+locking).Scan(&h.Number, &hash, &h.seal)
	copy(h.Hash[:], hash)
	return h, err
}

// sound says whether the head is one that a server of this game has written.
func (h auditHead) sound(sealer leaderboard.Sealer) error {
	if h.Number == 0 && h.seal == "" {
		return nil
	}
	content, err := sealer.Open(h.seal)
	if err != nil {
		return err
	}
	if content != h.String() {
		return fmt.Errorf("the seal is of record %s", content)
	}
	return nil
}

var errNoSealer = errors.New("this ledger was opened without what seals its audit")

// addRecord adds a record after the head, in the transaction of what it is about, and returns
// it with its number, time and hash.
func (l *Ledger) addRecord(ctx context.Context, tx pgx.Tx, head auditHead, record leaderboard.AuditRecord) (leaderboard.AuditRecord, error) {
	sealer := l.options.Sealer
	if sealer == nil {
		return record, errNoSealer
	}

	// A new seal must not vouch for what the old one did not.
	if head.sound(sealer) != nil {
		lost := leaderboard.AuditRecord{Actor: "server", Action: leaderboard.SealLost,
			Reason: "whether the records before this one are those that were written cannot be told by their seal"}
		if err := appendRecord(ctx, tx, &head, &lost); err != nil {
			return record, err
		}
	}
	if err := appendRecord(ctx, tx, &head, &record); err != nil {
		return record, err
	}
	return record, sealHead(ctx, tx, sealer, head)
}

func appendRecord(ctx context.Context, tx pgx.Tx, head *auditHead, r *leaderboard.AuditRecord) error {
	if err := tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&r.At); err != nil {
		return err
	}

	r.At, r.Number = r.At.UTC(), head.Number+1
	r.Hash = r.HashAfter(head.Hash)
	var player pgtype.UUID
	if r.Player != "" {
		id, err := uuid.Parse(string(r.Player))
		if err != nil {
			return fmt.Errorf("the record is about the player %q: %w", r.Player, err)
		}
		player = pgtype.UUID{Bytes: id, Valid: true}
	}
	_, err := tx.Exec(ctx, "INSERT INTO audit ("+auditColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
		r.Number, r.At, r.Actor, r.Action, player, r.Board, r.What, r.Reason, r.Note, r.Changed, r.Hash[:])
	if err != nil {
		return fmt.Errorf("add a record to the audit: %w", err)
	}
	head.Number, head.Hash = r.Number, r.Hash
	return nil
}

func sealHead(ctx context.Context, tx pgx.Tx, sealer leaderboard.Sealer, head auditHead) error {
	seal, err := sealer.Seal(head.String())
	if err != nil {
		return fmt.Errorf("seal the audit: %w", err)
	}
	if _, err := tx.Exec(ctx, "UPDATE audit_head SET number = $1, hash = $2, seal = $3", head.Number, head.Hash[:], seal); err != nil {
		return fmt.Errorf("seal the audit: %w", err)
	}
	return nil
}

// SealAudit seals the head again if its key will be gone some day: keys are kept for as long
// as the tokens that they signed. It is to be called more often than that, by any number of
// replicas. What the old seal does not vouch for it leaves as it is.
func (l *Ledger) SealAudit(ctx context.Context) error {
	sealer := l.options.Sealer
	if sealer == nil {
		return nil
	}

	ctx, cancel := l.deadline(ctx)
	defer cancel()

	head, err := readAuditHead(ctx, l.pool, "")
	if err != nil {
		return fmt.Errorf("read the audit's seal: %w", err)
	}
	if head.seal == "" || sealer.Fresh(head.seal) {
		return nil
	}
	return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		head, err := lockAuditHead(ctx, tx)
		if err != nil {
			return err
		}
		if err := head.sound(sealer); err != nil {
			return fmt.Errorf("the seal of the audit, of record %d, is not one of this game's servers: %w", head.Number, err)
		}
		return sealHead(ctx, tx, sealer, head)
	})
}

const auditColumns = "number, at, actor, action, player, board, what, reason, note, changed, hash"

func scanRecord(row pgx.CollectableRow) (r leaderboard.AuditRecord, err error) {
	var player pgtype.UUID
	var hash []byte
	err = row.Scan(&r.Number, &r.At, &r.Actor, &r.Action, &player, &r.Board, &r.What, &r.Reason, &r.Note, &r.Changed, &hash)
	if r.At = r.At.UTC(); player.Valid {
		r.Player = leaderboard.PlayerID(uuid.UUID(player.Bytes).String())
	}
	copy(r.Hash[:], hash)
	return r, err
}

// Audit returns records of the audit, the last one first.
func (l *Ledger) Audit(ctx context.Context, query leaderboard.AuditQuery) ([]leaderboard.AuditRecord, error) {
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()

	var player pgtype.UUID
	if id, err := uuid.Parse(string(query.Player)); err == nil {
		player = pgtype.UUID{Bytes: id, Valid: true}
	}
	where := "$2::uuid IS NULL"
	if player.Valid {
		where = "player = $2"
	}
	rows, err := l.pool.Query(ctx, "SELECT "+auditColumns+" FROM audit WHERE ($1 = 0 OR number < $1) AND "+where+" ORDER BY number DESC LIMIT $3", query.Before, player, query.Limit)
	if err != nil {
		return nil, unavailable("read the audit", err)
	}
	records, err := pgx.CollectRows(rows, scanRecord)
	if err != nil {
		return nil, unavailable("read the audit", err)
	}
	return records, nil
}
