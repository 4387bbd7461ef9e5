package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// auditChunk is how many records are read at a time.
const auditChunk = 1_000

// BrokenAuditError says that the audit is not what servers of this game have written.
type BrokenAuditError struct {
	// Number is that of the first record that is known to be bad: it is another, it is missing, or
	// it is not known whether it and those before it are right.
	Number int64
	// Why says what is wrong with it.
	Why string
}

// Error implements error.
func (e *BrokenAuditError) Error() string { return fmt.Sprintf("record %d: %s", e.Number, e.Why) }

// auditCheck goes through records in their order.
type auditCheck struct {
	// vouched is the head that the caller knows, or nil.
	vouched *leaderboard.AuditHead
	last    leaderboard.AuditHead
	// lost is the first record that says that the seal before it was lost; 0: there is none.
	lost int64
}

func (c *auditCheck) broken(number int64, format string, args ...any) error {
	return &BrokenAuditError{number, fmt.Sprintf(format, args...)}
}

func (c *auditCheck) add(r leaderboard.AuditRecord) error {
	want := c.last.Number + 1
	if r.Number != want {
		return c.broken(want, "it is missing")
	}
	if r.HashAfter(c.last.Hash) != r.Hash {
		return c.broken(want, "it is not what was written, or a record before it is missing")
	}
	if v := c.vouched; v != nil && v.Number == want && v.Hash != r.Hash {
		return c.broken(want, "it, or one before it, is not what was written: its hash is %s, and not the one that was given", r.Hash)
	}

	c.last = leaderboard.AuditHead{Number: r.Number, Hash: r.Hash}
	vouched := c.vouched != nil && c.vouched.Number >= r.Number
	if r.Action == leaderboard.SealLost && c.lost == 0 && !vouched {
		c.lost = r.Number
	}
	return nil
}

// end compares what was read with the head.
func (c *auditCheck) end(head auditHead, sealer leaderboard.Sealer) error {
	switch {
	case c.vouched != nil && c.vouched.Number > c.last.Number:
		return c.broken(c.last.Number+1, "it is missing: there were %d records once", c.vouched.Number)
	case head.Number > c.last.Number:
		return c.broken(c.last.Number+1, "it is missing: the seal is of record %d", head.Number)
	case head.Number < c.last.Number:
		return c.broken(head.Number+1, "it was not written by a server of this game: the seal is of record %d", head.Number)
	case head.Hash != c.last.Hash:
		return c.broken(head.Number, "it, or one before it, is not what was sealed")
	}

	if err := head.sound(sealer); err != nil {
		return c.broken(max(head.Number, 1), "whether it and those before it are what was written cannot be told: the seal is not one of this game's keys (%v)", err)
	}
	if c.lost != 0 {
		return c.broken(c.lost, "when it was written, the seal of those before it was broken, or its key was gone: if their number and hash are known from elsewhere, give those")
	}
	return nil
}

// VerifyAudit reads all of the audit and returns its head, or a [BrokenAuditError] with the
// first bad record. vouched is a head that is known from elsewhere; nil: none is. Without one
// it is not found out if the schema's owner has put back all of the audit, with its head, as it
// was at an earlier time.
func VerifyAudit(ctx context.Context, conn *pgx.Conn, sealer leaderboard.Sealer, vouched *leaderboard.AuditHead) (leaderboard.AuditHead, error) {
	check := &auditCheck{vouched: vouched}
	err := pgx.BeginTxFunc(ctx, conn, oneSnapshot, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', '0', true)"); err != nil {
			return err
		}
		head, err := readAuditHead(ctx, tx, "")
		if err != nil {
			return fmt.Errorf("read the head of the audit: %w", err)
		}

		for read := auditChunk; read == auditChunk; {
			rows, err := tx.Query(ctx, "SELECT "+auditColumns+" FROM audit WHERE number > $1 ORDER BY number LIMIT $2", check.last.Number, auditChunk)
			if err != nil {
				return fmt.Errorf("read the audit: %w", err)
			}
			records, err := pgx.CollectRows(rows, scanRecord)
			if err != nil {
				return fmt.Errorf("read the audit: %w", err)
			}
			for _, r := range records {
				if err := check.add(r); err != nil {
					return err
				}
			}
			read = len(records)
		}
		return check.end(head, sealer)
	})
	return check.last, err
}
