package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// maxAccepts is how often a transaction that accepts is run again because it met another one, or
// boards that are not those of the catalog.
const maxAccepts = 5

// decision is a submission that is decided on, with its row locked.
type decision struct {
	leaderboard.HeldSubmission
	player int64
	board  int32
}

// Accept implements [leaderboard.Reviews]. The event is appended by the statement that appends
// all others, in the transaction of the record and of the new state: there are all three, or
// none. Of two who decide at the same time the second one waits for the audit's head.
func (l *Ledger) Accept(ctx context.Context, m leaderboard.Moderation, id int64, submission leaderboard.Submission) (record leaderboard.AuditRecord, held leaderboard.HeldSubmission, err error) {
	catalog := l.Catalog()
	for range maxAccepts {
		record, held, err = l.decide(ctx, m, id, leaderboard.HeldAccepted, func(ctx context.Context, tx pgx.Tx, d *decision) error {
			if err := checkRemoved(ctx, tx, d); err != nil {
				return err
			}
			d.Event, err = l.appendHeld(ctx, tx, submission, catalog)
			return err
		})
		var told *leaderboard.Error
		switch {
		case err == nil || errors.As(err, &told):
			return record, held, err
		case sqlState(err) == stateBoardsChanged:
			if catalog, err = l.LoadCatalog(ctx); err != nil {
				return record, held, err
			}
			err = unavailable("accept a submission", errors.New("the boards were changed"))
		default:
			if err = classify(err); !errors.Is(err, leaderboard.ErrRepeat) {
				return record, held, err
			}
		}
	}
	return record, held, err
}

// Reject implements [leaderboard.Reviews].
func (l *Ledger) Reject(ctx context.Context, m leaderboard.Moderation, id int64) (leaderboard.AuditRecord, leaderboard.HeldSubmission, error) {
	record, held, err := l.decide(ctx, m, id, leaderboard.HeldRejected, func(context.Context, pgx.Tx, *decision) error { return nil })
	return record, held, moderationError(err)
}

// decide gives a submission that waits for it a state, in the transaction of the record. act is
// what the state takes.
func (l *Ledger) decide(ctx context.Context, m leaderboard.Moderation, id int64, state leaderboard.HeldState, act func(context.Context, pgx.Tx, *decision) error,
) (record leaderboard.AuditRecord, held leaderboard.HeldSubmission, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	changed := false
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		head, err := lockAuditHead(ctx, tx)
		if err != nil {
			return err
		}
		d, err := lockHeld(ctx, tx, id)
		if err != nil {
			return err
		}
		if d.State != leaderboard.HeldPending && d.State != state {
			return decidedOtherwise(&d)
		}

		if changed = d.State == leaderboard.HeldPending; changed {
			if err := act(ctx, tx, &d); err != nil {
				return err
			}
			if err := l.setState(ctx, tx, &d, state); err != nil {
				return err
			}
		}
		held = d.HeldSubmission
		m.Player, m.Board, m.Submission, m.Event = d.Player, d.Board, d.ID, d.Event
		record, err = l.addRecord(ctx, tx, head, m.Record(changed))
		return err
	})
	if err == nil && changed {
		l.reviews.count(state)
	}
	return record, held, err
}

// lockHeld finds a submission and locks its row.
func lockHeld(ctx context.Context, tx pgx.Tx, id int64) (d decision, err error) {
	err = tx.QueryRow(ctx, "SELECT player, board FROM held_submissions WHERE id = $1 FOR UPDATE", id).Scan(&d.player, &d.board)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return d, err
	}
	d.HeldSubmission, err = readHeld(ctx, tx, id)
	return d, err
}

// decidedOtherwise refuses a decision where there is another one.
func decidedOtherwise(d *decision) error {
	if d.State == leaderboard.HeldAccepted {
		return leaderboard.Errorf(leaderboard.CodeDecided, "submission", "submission %d was accepted already and is event %d: void that event to have it not count", d.ID, d.Event)
	}
	return leaderboard.Errorf(leaderboard.CodeDecided, "submission", "submission %d was rejected already: the player has to submit the score again, or a server of the game for the player", d.ID)
}

// checkRemoved refuses to accept what came before the player was taken off the board: it would
// not count if it had been taken at once.
func checkRemoved(ctx context.Context, tx pgx.Tx, d *decision) error {
	var removed bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM removals WHERE player = $1 AND board = $2 AND through >= $3)", d.player, d.board, d.ID).Scan(&removed)
	if err == nil && removed {
		err = leaderboard.Errorf(leaderboard.CodeDecided, "submission", "submission %d came before its player was taken off board %s, and what came until then does not count: reject it, or restore the player", d.ID, d.Board)
	}
	return err
}

// appendHeld appends the event of a submission that is accepted, and has the leader take it to
// the rankings.
func (l *Ledger) appendHeld(ctx context.Context, tx pgx.Tx, submission leaderboard.Submission, catalog *leaderboard.Catalog) (event int64, err error) {
	batch := []leaderboard.Submission{submission}
	arguments, err := newStoreArguments(batch, catalog)
	if err != nil {
		return 0, err
	}

	arguments.limited = false // limits are of what is taken at once
	// What it means for rankings is left to catch-up, so it does not matter which boards there are.
	stored, _, err := l.append(ctx, tx, func(r *storedRows) { r.lost = true }, arguments, batch, catalog)
	if err != nil {
		return 0, err
	}
	if err := stored.Outcomes[0].Err; err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, "SELECT pg_notify("+channelSQL+", '')")
	return stored.Outcomes[0].Event, err
}

// setState stores a decision. Its key is kept from then on for as long as others, and is that of
// the event where there is one.
func (l *Ledger) setState(ctx context.Context, tx pgx.Tx, d *decision, state leaderboard.HeldState) error {
	err := tx.QueryRow(ctx, "UPDATE held_submissions SET state = $2, decided_at = clock_timestamp(), event = nullif($3::bigint, 0) WHERE id = $1 RETURNING decided_at",
		d.ID, state, d.Event).Scan(&d.DecidedAt)
	if err != nil {
		return err
	}
	d.State, d.DecidedAt = state, d.DecidedAt.UTC()

	_, err = tx.Exec(ctx, `
		UPDATE idempotency_keys k SET event = coalesce(h.event, k.event), expires_at = now() + $2::interval
		FROM held_submissions h WHERE h.id = $1 AND k.player = h.player AND k.key = h.key AND k.event = h.id`, d.ID, l.options.IdempotencyTTL)
	return err
}
