package postgres

import (
	"context"
	"crypto/sha256"
	_ "embed" // the statement
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

//go:embed queries/store.sql
var storeSQL string

// Store makes a batch of submissions durable: one statement, one transaction.
// The outcomes are exact under any number of concurrent batches. See
// [leaderboard.ErrRepeat] and [leaderboard.ErrRejected] for its errors.
func (l *Ledger) Store(ctx context.Context, batch []leaderboard.Submission) (leaderboard.Stored, error) {
	// The pool first: a failure to connect is certain to have stored nothing.
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return leaderboard.Stored{}, fmt.Errorf("%w: %w", leaderboard.ErrRepeat, unavailable("connect", err))
	}
	defer conn.Release()

	arguments := newStoreArguments(batch)
	stored, duplicates, err := l.store(ctx, conn.Conn(), arguments)
	if err != nil {
		return leaderboard.Stored{}, classify(err)
	}

	if len(duplicates) > 0 {
		// In a snapshot of its own: what was waited for is not in the first one's.
		if err := l.replay(ctx, conn.Conn(), arguments, duplicates, &stored); err != nil {
			// The rest of the batch is stored, so only these fail.
			for _, i := range duplicates {
				stored.Outcomes[i].Err = unavailable("look up an idempotency key", err)
			}
		}
	}

	return stored, nil
}

// storeArguments are the statement's arrays.
type storeArguments struct {
	players       [][16]byte
	tokenVersions []int32
	boards        []string
	scores        []int64
	keys          []pgtype.UUID
	fingerprints  []pgtype.UUID
	// repeats holds, by index, the earlier submission of the batch that has the
	// same player and key.
	repeats map[int]int
}

func newStoreArguments(batch []leaderboard.Submission) *storeArguments {
	n := len(batch)
	a := &storeArguments{make([][16]byte, n), make([]int32, n), make([]string, n), make([]int64, n),
		make([]pgtype.UUID, n), make([]pgtype.UUID, n), nil}
	type playerKey struct{ player, key [16]byte }
	var seen map[playerKey]int

	for i, s := range batch {
		if id, err := uuid.Parse(string(s.Player)); err == nil {
			a.players[i] = id // what is no id stays the nil UUID, which is nobody's
		}

		a.tokenVersions[i], a.boards[i], a.scores[i] = s.TokenVersion, s.Board, s.Score
		if s.IdempotencyKey == "" {
			continue
		}

		sum := sha256.Sum256([]byte(s.IdempotencyKey))
		key := playerKey{a.players[i], [16]byte(sum[:16])}
		a.keys[i] = pgtype.UUID{Bytes: key.key, Valid: true}
		a.fingerprints[i] = pgtype.UUID{Bytes: s.Fingerprint(), Valid: true}
		if seen == nil {
			seen = make(map[playerKey]int)
		}

		if first, twice := seen[key]; twice {
			if a.repeats == nil {
				a.repeats = make(map[int]int)
			}
			a.repeats[i] = first
		} else {
			seen[key] = i
		}
	}

	return a
}

// store runs the statement. duplicates are the submissions whose key was there.
func (l *Ledger) store(ctx context.Context, conn *pgx.Conn, a *storeArguments) (stored leaderboard.Stored, duplicates []int, err error) {
	rows, err := conn.Query(ctx, storeSQL, a.players, a.tokenVersions, a.boards, a.scores, a.keys, a.fingerprints,
		l.options.IdempotencyTTL, strconv.FormatInt(l.options.LockTimeout.Milliseconds(), 10))
	if err != nil {
		return stored, nil, err
	}
	defer rows.Close()

	stored.Outcomes = make([]leaderboard.Outcome, len(a.players))
	stored.Changed = make([]leaderboard.Standing, 0, len(a.players))
	var (
		ordinal                       int64
		verdict                       pgtype.Text
		event, player, score, version pgtype.Int8
		board, season, origin         pgtype.Int4
		improved                      pgtype.Bool
	)

	for rows.Next() {
		if err := rows.Scan(&ordinal, &verdict, &event, &player, &board, &season, &improved, &score, &version, &origin); err != nil {
			return stored, nil, err
		}
		switch {
		case ordinal == 0:
			stored.Identity, stored.Xid = verdict.String, uint64(event.Int64)
		case ordinal < 0:
			stored.Changed = append(stored.Changed, leaderboard.Standing{Board: board.Int32, Season: season.Int32, Player: player.Int64,
				Score: score.Int64, Event: event.Int64, Origin: origin.Int32, Version: version.Int64})
		default:
			i := int(ordinal - 1)
			outcome := &stored.Outcomes[i]
			outcome.Entry = leaderboard.EntryKey{Board: board.Int32, Season: season.Int32, Player: player.Int64}
			outcome.Event, outcome.Improved = event.Int64, improved.Bool
			if verdict.String == "duplicate" {
				duplicates = append(duplicates, i)
			} else if verdict.Valid {
				outcome.Err = refusal(verdict.String, a.boards[i])
			}
		}
	}

	return stored, duplicates, rows.Err()
}

// refusal is the error for a verdict of the statement.
func refusal(verdict, board string) error {
	switch verdict {
	case "unauthenticated":
		return leaderboard.Errorf(leaderboard.CodeUnauthenticated, "", "this token is no longer good, log in again")
	case "forbidden":
		return leaderboard.Errorf(leaderboard.CodeForbidden, "", "this account is disabled")
	case "no-board":
		return leaderboard.Errorf(leaderboard.CodeNotFound, "game_id", "there is no board %q", board)
	case "no-season":
		return leaderboard.Errorf(leaderboard.CodeConflict, "game_id", "board %s has no open season now", board)
	case "out-of-range":
		return sumOutOfRange()
	case "alone":
		return leaderboard.ErrAlone
	}
	return fmt.Errorf("the ledger gave the unknown verdict %q", verdict)
}

func sumOutOfRange() *leaderboard.Error {
	return leaderboard.Errorf(leaderboard.CodeOutOfRange, "score", "with this score the player's sum would leave +-%d", int64(leaderboard.MaxScore))
}

// replay fills in the outcomes of submissions whose key was stored before.
func (l *Ledger) replay(ctx context.Context, conn *pgx.Conn, a *storeArguments, duplicates []int, stored *leaderboard.Stored) error {
	players, keys := make([]int64, len(duplicates)), make([]pgtype.UUID, len(duplicates))
	for j, i := range duplicates {
		players[j], keys[j] = stored.Outcomes[i].Entry.Player, a.keys[i]
	}

	// A key may outlive its event's partition: what is left then is the event.
	rows, err := conn.Query(ctx, `
		SELECT d.ordinal, k.fingerprint, k.event, coalesce(e.season, 0), coalesce(e.improved, false)
		FROM unnest($1::bigint[], $2::uuid[]) WITH ORDINALITY AS d (player, key, ordinal)
		JOIN idempotency_keys k ON k.player = d.player AND k.key = d.key
		LEFT JOIN score_events e ON e.at = k.event_at AND e.id = k.event`, players, keys)
	if err != nil {
		return err
	}
	defer rows.Close()

	for _, i := range duplicates {
		stored.Outcomes[i].Err = unavailable("look up an idempotency key", errors.New("it expired just now"))
	}

	for rows.Next() {
		var ordinal, event int64
		var fingerprint pgtype.UUID
		var season int32
		var improved bool
		if err := rows.Scan(&ordinal, &fingerprint, &event, &season, &improved); err != nil {
			return err
		}

		i := duplicates[ordinal-1]
		outcome := &stored.Outcomes[i]
		if fingerprint.Bytes != a.fingerprints[i].Bytes {
			outcome.Err = leaderboard.Errorf(leaderboard.CodeKeyReused, "Idempotency-Key", "this Idempotency-Key came before with another submission, use a new one")
			continue
		}

		outcome.Err, outcome.Event, outcome.Improved = nil, event, improved
		// Another submission of this batch may have stored the key a moment ago; it
		// is this one that repeats.
		outcome.Replayed = true
		if season != 0 {
			outcome.Entry.Season = season
		}
	}

	return rows.Err()
}

// classify says what a failed statement means for its batch.
func classify(err error) error {
	state := sqlState(err)
	cause := fmt.Errorf("store submissions: %w", err)
	switch {
	case state == "40001" || state == "40P01": // serialization failure, deadlock
		return fmt.Errorf("%w: %w", leaderboard.ErrRepeat, unavailable("store submissions", err))
	case state == "23514" || state == "22003": // a check constraint, a number out of range: only sums can
		return fmt.Errorf("%w: %w", leaderboard.ErrRejected, sumOutOfRange().WithCause(cause))
	case state == "55P03" || state == "57014": // lock timeout, statement timeout
		return fmt.Errorf("%w: %w", leaderboard.ErrRejected,
			leaderboard.Errorf(leaderboard.CodeUnavailable, "", "this player's scores are being changed elsewhere, try again").After(time.Second).WithCause(cause))
	case len(state) == 5 && (state[:2] == "22" || state[:2] == "23" || state[:2] == "P0"):
		return fmt.Errorf("%w: %w", leaderboard.ErrRejected, leaderboard.Errorf(leaderboard.CodeInternal, "", "this submission could not be stored").WithCause(cause))
	case state == "" && pgconn.SafeToRetry(err): // nothing was sent
		return fmt.Errorf("%w: %w", leaderboard.ErrRepeat, unavailable("store submissions", err))
	}

	return unavailable("store submissions", err)
}
