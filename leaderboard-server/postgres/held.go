package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// HoldBack implements [leaderboard.Reviews]. The player's row is locked, so that the player's
// bound is exact, and what is held back of a player who is erased is deleted with the player.
func (l *Ledger) HoldBack(ctx context.Context, s leaderboard.Submission) (held *leaderboard.HeldSubmission, err error) {
	board, err := l.Catalog().Lookup(s.Board)
	if err != nil {
		return nil, err
	}

	stored := false
	err = l.change(ctx, "hold a submission back", func(ctx context.Context, tx pgx.Tx) error {
		player, err := callersPlayer(ctx, tx, leaderboard.Caller{Player: s.Player, TokenVersion: s.TokenVersion})
		if err != nil {
			return err
		}
		h := leaderboard.HeldSubmission{Player: player.ID, Username: player.Username, Board: board.Name, Score: s.Score, Values: s.Values,
			Metadata: s.Metadata, Reason: s.HoldBack, State: leaderboard.HeldPending}

		free, err := takeHeldKey(ctx, tx, player.Number, s, &h.ID)
		if err != nil {
			return err
		}
		if !free {
			held, err = heldWithKey(ctx, tx, h.ID)
			return err
		}

		if err := checkRoomToHold(ctx, tx, player.Number, board); err != nil {
			return err
		}
		if err := keepHeld(ctx, tx, player.Number, board, s, &h); err != nil {
			return err
		}
		held, stored = &h, true
		return l.Enqueue(ctx, tx, leaderboard.WebhookEvent{Type: leaderboard.EventEntryUnderReview, Board: board.Number, At: h.At, Data: func(int) any {
			return leaderboard.EntryUnderReview{ID: h.ID, Board: h.Board, UserID: h.Player, Username: h.Username, Score: h.Score, Columns: h.Values, Reason: h.Reason}
		}})
	})
	if err != nil {
		return nil, err
	}
	if stored {
		l.reviews.held.Add(1)
	}
	return held, nil
}

// takeHeldKey gives a submission its number and stores its key. Where the key is there the number
// is that of the submission that came with it, and free is false.
func takeHeldKey(ctx context.Context, tx pgx.Tx, player int64, s leaderboard.Submission, id *int64) (free bool, err error) {
	if s.IdempotencyKey == "" {
		return true, tx.QueryRow(ctx, "SELECT nextval('event_ids')").Scan(id)
	}

	key, fingerprint := StoredKey("", s.IdempotencyKey), s.Fingerprint()
	if s.HoldBack != "" {
		err = tx.QueryRow(ctx, `
			INSERT INTO idempotency_keys (player, key, fingerprint, event, expires_at) VALUES ($1, $2, $3, nextval('event_ids'), 'infinity')
			ON CONFLICT (player, key) DO NOTHING RETURNING event`, player, key, fingerprint).Scan(id)
		if !errors.Is(err, pgx.ErrNoRows) {
			return true, err
		}
	}

	var before [16]byte
	err = tx.QueryRow(ctx, "SELECT event, fingerprint FROM idempotency_keys WHERE player = $1 AND key = $2", player, key).Scan(id, &before)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, unavailable("look up an idempotency key", errors.New("it expired just now"))
	}
	if err == nil && before != fingerprint {
		err = keyReused()
	}
	return false, err
}

// checkRoomToHold refuses a submission where as many wait for a decision as may.
func checkRoomToHold(ctx context.Context, tx pgx.Tx, player int64, board leaderboard.LiveBoard) error {
	var own, all int
	err := tx.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM held_submissions WHERE player = $1 AND board = $2 AND state = 'pending'),
			(SELECT count(*) FROM (SELECT FROM held_submissions WHERE state = 'pending' LIMIT $3) pending)`, player, board.Number, leaderboard.MaxHeld).Scan(&own, &all)
	switch {
	case err != nil:
		return err
	case own >= leaderboard.MaxHeldOfPlayer:
		return leaderboard.Errorf(leaderboard.CodeTooManyPending, "", "%d submissions of this player to board %s wait for a decision, and there is no room for more: submit again once one was decided on", own, board.Name)
	case all >= leaderboard.MaxHeld:
		return leaderboard.Errorf(leaderboard.CodeTooManyPending, "", "%d submissions of this game wait for a decision, and there is no room for more: submit again once some were decided on", all)
	}
	return nil
}

// keepHeld stores a submission that is held back.
func keepHeld(ctx context.Context, tx pgx.Tx, player int64, board leaderboard.LiveBoard, s leaderboard.Submission, h *leaderboard.HeldSubmission) error {
	key := pgtype.UUID{}
	if s.IdempotencyKey != "" {
		key = pgtype.UUID{Bytes: StoredKey("", s.IdempotencyKey), Valid: true}
	}
	err := tx.QueryRow(ctx, `
		INSERT INTO held_submissions (id, player, board, score, columns, metadata, reason, key) VALUES ($1, $2, $3, $4, $5, nullif($6, ''), $7, $8) RETURNING at`,
		h.ID, player, board.Number, h.Score, h.Values, h.Metadata, h.Reason, key).Scan(&h.At)
	h.At = h.At.UTC()
	return err
}

// heldColumns are those that scanHeld reads, of what heldFrom joins.
const (
	heldColumns = "h.id, p.id::text, p.username, b.name, h.score, h.columns, coalesce(h.metadata, ''), h.reason, h.at, h.state, h.decided_at, coalesce(h.event, 0)"
	heldFrom    = " FROM held_submissions h JOIN players p ON p.number = h.player JOIN boards b ON b.number = h.board "
)

func scanHeld(row pgx.CollectableRow) (h leaderboard.HeldSubmission, err error) {
	var decided *time.Time
	err = row.Scan(&h.ID, &h.Player, &h.Username, &h.Board, &h.Score, &h.Values, &h.Metadata, &h.Reason, &h.At, &h.State, &decided, &h.Event)
	if h.At = h.At.UTC(); decided != nil {
		h.DecidedAt = decided.UTC()
	}
	return h, err
}

// heldWithKey is the submission whose key another one repeats; nil: it counts.
func heldWithKey(ctx context.Context, tx pgx.Tx, id int64) (*leaderboard.HeldSubmission, error) {
	h, err := readHeld(ctx, tx, id)
	if leaderboard.CodeOf(err) == leaderboard.CodeNoHeld {
		return nil, nil //nolint:nilnil // what nil means is documented with HoldBack
	}
	return &h, err
}

func readHeld(ctx context.Context, from seasonQuerier, id int64) (h leaderboard.HeldSubmission, err error) {
	rows, err := from.Query(ctx, "SELECT "+heldColumns+heldFrom+"WHERE h.id = $1", id)
	if err != nil {
		return h, err
	}
	h, err = pgx.CollectExactlyOneRow(rows, scanHeld)
	if errors.Is(err, pgx.ErrNoRows) {
		err = leaderboard.Errorf(leaderboard.CodeNoHeld, "submission", "no submission of the number %d was held back, or it is no longer kept: GET /v1/admin/submissions lists those that wait for a decision", id)
	}
	return h, err
}

// Held implements [leaderboard.Reviews].
func (l *Ledger) Held(ctx context.Context, id int64) (h leaderboard.HeldSubmission, err error) {
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return h, err
	}
	defer done()

	h, err = readHeld(ctx, l.pool, id)
	return h, refusalOr("find a submission that was held back", err)
}

// HeldSubmissions implements [leaderboard.Reviews].
func (l *Ledger) HeldSubmissions(ctx context.Context, query leaderboard.HeldQuery) ([]leaderboard.HeldSubmission, error) {
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()

	where, args := "WHERE h.state = 'pending' AND h.id > $1 AND ($3 = '' OR b.name = $3) ORDER BY h.id LIMIT $2", []any{query.After, query.Limit, query.Board}
	if query.Player != "" {
		id, err := uuid.Parse(string(query.Player))
		if err != nil {
			return nil, noPlayer()
		}
		where, args = "WHERE p.id = $3 AND ($1 = 0 OR h.id < $1) ORDER BY h.id DESC LIMIT $2", []any{query.After, query.Limit, [16]byte(id)}
	}
	rows, err := l.pool.Query(ctx, "SELECT "+heldColumns+heldFrom+where, args...)
	if err == nil {
		var list []leaderboard.HeldSubmission
		if list, err = pgx.CollectRows(rows, scanHeld); err == nil {
			return list, nil
		}
	}
	return nil, unavailable("list submissions that were held back", fmt.Errorf("query: %w", err))
}

// reviewRules are how boards.review has what a board holds back.
type reviewRules struct {
	When       leaderboard.ReviewWhen `json:"when"`
	BetterThan *int64                 `json:"betterThan,omitempty"`
	// ImprovementAbove is boards.max_improvement, too.
	ImprovementAbove *int64 `json:"improvementAbove,omitempty"`
}

// storedReview is null where nothing is held back.
func storedReview(r leaderboard.Review) *reviewRules {
	if r.When == "" {
		return nil
	}
	return new(reviewRules(r))
}

func (r *reviewRules) review() leaderboard.Review {
	if r == nil {
		return leaderboard.Review{}
	}
	return leaderboard.Review(*r)
}
