package postgres

import (
	"context"
	"crypto/sha256"
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

// Store makes a batch of submissions durable: one statement, one transaction. A
// batch has one submission of a player to a board at most that are stored one after the
// other, see [leaderboard.Board.ByPlayer].
// See [leaderboard.ErrRepeat] and [leaderboard.ErrRejected] for its errors.
func (l *Ledger) Store(ctx context.Context, batch []leaderboard.Submission) (leaderboard.Stored, error) {
	catalog := l.Catalog()
	if catalog == nil {
		return leaderboard.Stored{}, errors.New("the boards are not loaded yet")
	}

	arguments, err := newStoreArguments(batch, catalog)
	if err != nil {
		return leaderboard.Stored{}, err
	}

	// The pool first: a failure to connect is certain to have stored nothing.
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return leaderboard.Stored{}, fmt.Errorf("%w: %w", leaderboard.ErrRepeat, unavailable("connect", err))
	}
	defer conn.Release()

	reload := func(r *storedRows) { l.reload(ctx, conn.Conn(), r) }
	stored, repeated, err := l.append(ctx, conn.Conn(), reload, arguments, batch, catalog)
	if sqlState(err) == stateBoardsChanged { // and nothing was stored
		if catalog, err = l.loadCatalog(ctx, conn.Conn()); err != nil {
			return leaderboard.Stored{}, fmt.Errorf("%w: %w", leaderboard.ErrRepeat, err)
		}
		if arguments, err = newStoreArguments(batch, catalog); err != nil {
			return leaderboard.Stored{}, err
		}
		stored, repeated, err = l.append(ctx, conn.Conn(), reload, arguments, batch, catalog)
	}
	l.writable.observe(conn.Conn(), err)
	if err != nil {
		return leaderboard.Stored{}, classify(err)
	}

	l.observeIdentity(stored.Identity)
	if len(repeated) > 0 {
		// In a snapshot of its own: what was waited for is not in the first one's.
		if err := l.replay(ctx, conn.Conn(), arguments, repeated, &stored); err != nil {
			// The rest of the batch is stored, so only these fail.
			for _, i := range repeated {
				stored.Outcomes[i].Err = unavailable("look up an idempotency key", err)
			}
		}
	}

	return stored, nil
}

// storeArguments are the statements' arrays.
type storeArguments struct {
	players       [][16]byte
	tokenVersions []pgtype.Int4 // null: any
	boards        []string
	scores        []int64
	keys          []pgtype.UUID
	fingerprints  []pgtype.UUID
	refused       []bool
	// columns are literals of arrays; nil: no submission has any.
	columns []pgtype.Text
	// described are the ordinals of the submissions with metadata, and metadata is theirs.
	described []int64
	metadata  []string
	// ordered says that a board takes a player's submissions one after the other, bounded that
	// it may bound improvements, limited that it may limit how many there are, keyed that there
	// is a key, segmented that there may be segments in which a submission counts, and reviewed
	// that a key may be that of one that was held back.
	ordered, bounded, limited, keyed, segmented, reviewed bool
}

func newStoreArguments(batch []leaderboard.Submission, catalog *leaderboard.Catalog) (*storeArguments, error) {
	n := len(batch)
	a := &storeArguments{players: make([][16]byte, n), tokenVersions: make([]pgtype.Int4, n), boards: make([]string, n), scores: make([]int64, n),
		keys: make([]pgtype.UUID, n), fingerprints: make([]pgtype.UUID, n), refused: make([]bool, n)}
	type entry struct {
		player [16]byte
		board  string
	}
	var entries map[entry]bool

	for i, s := range batch {
		if id, err := uuid.Parse(string(s.Player)); err == nil {
			a.players[i] = id // what is no id stays the nil UUID, which is nobody's
		}

		a.tokenVersions[i] = pgtype.Int4{Int32: s.TokenVersion, Valid: s.Account == ""}
		a.boards[i], a.scores[i], a.refused[i] = s.Board, s.Score, s.Refusal != nil
		board, err := catalog.Lookup(s.Board)
		// One that is newer than the catalog may be ordered.
		a.ordered = a.ordered || err != nil || board.ByPlayer()
		a.bounded = a.bounded || err != nil || board.BoundsImprovement()
		a.limited = a.limited || err != nil || board.Limits.Any()
		a.segmented = a.segmented || err != nil || segmented(catalog, board)
		a.reviewed = a.reviewed || err != nil || board.Reviewed
		if err == nil && board.ByPlayer() {
			if entries == nil {
				entries = make(map[entry]bool)
			}
			key := entry{a.players[i], s.Board}
			if entries[key] {
				// It was formed before that was so: its parts are stored by themselves.
				return nil, fmt.Errorf("%w: it has two submissions of one player to board %s, which takes them one after the other", leaderboard.ErrRejected, s.Board)
			}
			entries[key] = true
		}
		if err == nil && len(board.Columns) > 0 {
			if a.columns == nil {
				a.columns = make([]pgtype.Text, n)
			}
			a.columns[i] = columnsLiteral(s.Columns[:board.Fold().CountLogged()])
		}

		if s.Metadata != "" {
			a.described, a.metadata = append(a.described, int64(i+1)), append(a.metadata, s.Metadata)
		}

		if s.IdempotencyKey != "" {
			a.keyed = true
			a.keys[i] = pgtype.UUID{Bytes: StoredKey(s.Account, s.IdempotencyKey), Valid: true}
			a.fingerprints[i] = pgtype.UUID{Bytes: s.Fingerprint(), Valid: true}
		}
	}

	return a, nil
}

// StoredKey is what is stored of an idempotency key of a service account, or where that is
// empty of a player: 128 bits of its SHA-256. No key has a zero byte.
func StoredKey(account, key string) [16]byte {
	if account != "" {
		key = "\x00" + account + "\x00" + key
	}
	sum := sha256.Sum256([]byte(key))
	return [16]byte(sum[:16])
}

// storedRow is a row of either statement; season, score, reachedBy, improved and columns are of
// the ordered one.
type storedRow struct {
	kind                            string
	ordinal                         int64
	event, player, score, reachedBy pgtype.Int8
	board, season                   pgtype.Int4
	global, improved                pgtype.Bool
	verdict                         pgtype.Text
	columns                         []int64 // as they are ranked
	segments                        leaderboard.Segments
	counts                          countsRow
}

// append runs the statement. repeated are the submissions whose key was there, and
// those that are refused unless it was. reload is called where the boards are not those of the
// catalog.
func (l *Ledger) append(ctx context.Context, conn seasonQuerier, reload func(*storedRows), a *storeArguments, batch []leaderboard.Submission, catalog *leaderboard.Catalog) (stored leaderboard.Stored, repeated []int, err error) {
	var row storedRow
	sql, fields := appendAny, []any{&row.kind, &row.ordinal, &row.event, &row.player, &row.board, &row.global, &row.verdict}
	if a.ordered {
		sql, fields = appendOrdered, append(fields, &row.season, &row.score, &row.reachedBy, &row.improved, &row.columns)
	}
	if a.segmented {
		fields = append(fields, &row.segments)
	}
	if a.limited {
		fields = append(fields, row.counts.fields()...)
	}

	lockTimeout := ""
	if a.ordered || a.keyed {
		lockTimeout = strconv.FormatInt(l.options.LockTimeout.Milliseconds(), 10)
	}
	args := []any{a.players, a.tokenVersions, a.boards, a.scores, a.keys, a.fingerprints, a.refused,
		l.options.IdempotencyTTL, lockTimeout, catalog.Global().Season, a.columns}
	if len(a.described) > 0 {
		args = append(args, a.described, a.metadata)
	}
	rows, err := conn.Query(ctx, sql[appendForm{a.segmented, len(a.described) > 0, a.bounded, a.limited}], args...)
	if err != nil {
		return stored, nil, err
	}
	defer rows.Close()

	stored.Outcomes = make([]leaderboard.Outcome, len(batch))
	r := storedRows{catalog: catalog}
	main := r.main
	note := func(row *storedRow) {
		i := int(row.ordinal - 1)
		outcome := &stored.Outcomes[i]
		row.fill(outcome, r.catalog, main)
		outcome.Allowances = row.allowances(&r)
		if row.kind == "refused" {
			outcome.Err = row.refusal(batch[i], r.catalog, outcome.Allowances)
		}
		if row.verdict.String == "duplicate" || a.keys[i].Valid && repeatable[row.verdict.String] {
			repeated = append(repeated, i)
		}
	}
	var kept []storedRow
	for rows.Next() {
		if err := rows.Scan(fields...); err != nil {
			return stored, nil, err
		}
		switch {
		case row.kind == "ledger":
			stored.Identity, stored.Xid = row.verdict.String, uint64(row.event.Int64)
			r.version, r.at = row.ordinal, time.UnixMicro(row.player.Int64)
			r.known = catalog.Knows(r.version, r.at)
		case r.version != catalog.Version():
			kept = append(kept, row)
		default:
			note(&row)
		}
	}
	if err := rows.Err(); err != nil {
		return stored, nil, err
	}

	if r.version != catalog.Version() {
		reload(&r)
		for i := range kept {
			note(&kept[i])
		}
	}
	if !r.known {
		l.noteOutdated()
	} else if r.catalog.HasWindows() {
		for i := range stored.Outcomes {
			addWindows(&stored.Outcomes[i], batch[i], r.catalog, r.at)
		}
	}
	return stored, repeated, nil
}

// addWindows adds the standings that a submission makes in windows. They are left to
// catch-up where the catalog is not that of the transaction: a shard has all of a
// transaction or nothing.
func addWindows(outcome *leaderboard.Outcome, submission leaderboard.Submission, catalog *leaderboard.Catalog, at time.Time) {
	if outcome.Err != nil {
		return
	}

	own := outcome.Entry
	add := func(board leaderboard.LiveBoard, main int32, columns leaderboard.Columns) {
		for s := range board.OpenAt(at) {
			if s.Number != main {
				key := leaderboard.EntryKey{Board: board.Number, Season: s.Number, Player: own.Player}
				outcome.Windows = append(outcome.Windows, leaderboard.Single(key, submission.Score, outcome.Event, own.Board).With(columns))
			}
		}
	}
	if board, ok := catalog.Numbered(own.Board); ok && !board.Scoring.Ordered() {
		add(board, own.Season, submission.Columns)
	}
	if outcome.Global.Board != 0 {
		add(catalog.Global(), outcome.Global.Season, leaderboard.Columns{})
	}
}

// fill sets what a row says of a submission. Of one to a board whose scoring is ordered
// there is a row for each season that was open, and for each segment of those. mainSeason says which season of a board the
// receipt is about.
func (r *storedRow) fill(outcome *leaderboard.Outcome, catalog *leaderboard.Catalog, mainSeason func(leaderboard.LiveBoard) int32) {
	board, _ := catalog.Numbered(r.board.Int32)
	main := mainSeason(board)
	if r.score.Valid && r.season.Int32 != main {
		if season, _ := leaderboard.SplitSeason(r.season.Int32); season == main || season != board.Season { // else the board has no ranking of all time
			outcome.Windows = append(outcome.Windows, *r.standing(board))
		}
		if outcome.Event != 0 {
			return
		}
	}

	if outcome.Event, outcome.Segments = r.event.Int64, r.segments; r.score.Valid {
		outcome.Segments = r.segments.OfGlobal() // the others have rows of their own
	}
	outcome.Entry = leaderboard.EntryKey{Board: r.board.Int32, Season: main, Player: r.player.Int64}
	if global := catalog.Global(); r.global.Bool && global.Number != board.Number {
		outcome.Global = leaderboard.EntryKey{Board: global.Number, Season: mainSeason(global), Player: r.player.Int64}
	}
	if r.score.Valid && r.season.Int32 == main {
		outcome.Standing = r.standing(board)
		outcome.Improved = r.improved.Bool
	}
	if r.kind == "stored" && outcome.Standing == nil && board.Scoring.Ordered() && r.verdict.String != "duplicate" {
		outcome.Entry.Season = 0 // it was not ordered, or in another ranking, when this was stored
	}
}

// standing is what a row of a board whose scoring is ordered says of one season.
func (r *storedRow) standing(board leaderboard.LiveBoard) *leaderboard.Standing {
	key := leaderboard.EntryKey{Board: r.board.Int32, Season: r.season.Int32, Player: r.player.Int64}
	return &leaderboard.Standing{EntryKey: key, Score: r.score.Int64, Columns: board.In(r.season.Int32).Fold().Submitted(readColumns(r.columns)), Event: r.reachedBy.Int64, Last: r.event.Int64, Origin: r.board.Int32}
}

// repeatable are the verdicts on submissions that may have been stored before: with the key of
// then they are repetitions.
var repeatable = map[string]bool{"refused": true, "out-of-range": true, tooLarge: true, limitExceeded: true}

// The verdicts on submissions that improve more than their board allows, and on those for which
// its limits leave no room.
const (
	tooLarge      = "improvement-too-large"
	limitExceeded = "limit-exceeded"
)

// refusal is the error for the verdict on a submission.
func (r *storedRow) refusal(s leaderboard.Submission, catalog *leaderboard.Catalog, left []leaderboard.Allowance) error {
	if r.verdict.String != tooLarge && r.verdict.String != limitExceeded {
		return refusal(r.verdict.String, s)
	}

	board, err := catalog.Lookup(s.Board)
	switch {
	case err != nil:
		return err // it was removed in the meantime
	case r.verdict.String == limitExceeded:
		return board.LimitExceeded(left)
	}
	return board.TooLarge()
}

// refusal is the error for a verdict of the statements.
func refusal(verdict string, s leaderboard.Submission) error {
	switch {
	case s.Account == "":
	case verdict == "unauthenticated":
		return noPlayer()
	case verdict == "forbidden":
		return leaderboard.Errorf(leaderboard.CodeForbidden, "user_id", "the account of this player is disabled")
	}

	switch verdict {
	case "unauthenticated":
		return leaderboard.Errorf(leaderboard.CodeUnauthenticated, "", "this token is no longer good, log in again")
	case "forbidden":
		return leaderboard.Errorf(leaderboard.CodeForbidden, "", "this account is disabled")
	case "no-board":
		return leaderboard.NoBoard(s.Board)
	case "no-season":
		return leaderboard.Errorf(leaderboard.CodeConflict, "board", "board %s has no open season now", s.Board)
	case "out-of-range":
		return sumOutOfRange()
	case "refused":
		return s.Refusal
	}
	return fmt.Errorf("the ledger gave the unknown verdict %q", verdict)
}

func sumOutOfRange() *leaderboard.Error {
	return leaderboard.Errorf(leaderboard.CodeOutOfRange, "score", "with this score the player's sum would leave +-%d", int64(leaderboard.MaxScore))
}

func keyReused() error {
	return leaderboard.Errorf(leaderboard.CodeKeyReused, "Idempotency-Key", "this Idempotency-Key came before with another submission, use a new one")
}

// replaySQL finds what keys came with before, and replayReviewedSQL, for boards that have held
// submissions back, whether that is one of those.
const (
	replaySQL = `
		SELECT d.ordinal, k.fingerprint, k.event
		FROM unnest($1::bigint[], $2::uuid[]) WITH ORDINALITY AS d (player, key, ordinal)
		JOIN idempotency_keys k ON k.player = d.player AND k.key = d.key`
	replayReviewedSQL = `
		SELECT d.ordinal, k.fingerprint, k.event, h.id IS NOT NULL
		FROM unnest($1::bigint[], $2::uuid[]) WITH ORDINALITY AS d (player, key, ordinal)
		JOIN idempotency_keys k ON k.player = d.player AND k.key = d.key
		LEFT JOIN held_submissions h ON h.id = k.event`
)

// replay fills in the outcomes of submissions whose key was stored before, from the
// key's own row: the same fingerprint says that board and score are the same, too.
// What is refused and has no such key stays refused.
func (l *Ledger) replay(ctx context.Context, conn *pgx.Conn, a *storeArguments, repeated []int, stored *leaderboard.Stored) error {
	players, keys := make([]int64, len(repeated)), make([]pgtype.UUID, len(repeated))
	for j, i := range repeated {
		players[j], keys[j] = stored.Outcomes[i].Entry.Player, a.keys[i]
		if stored.Outcomes[i].Err == nil {
			stored.Outcomes[i].Err = unavailable("look up an idempotency key", errors.New("it expired just now"))
		}
	}

	var ordinal, event int64
	var fingerprint pgtype.UUID
	var held bool
	sql, fields := replaySQL, []any{&ordinal, &fingerprint, &event}
	if a.reviewed {
		sql, fields = replayReviewedSQL, append(fields, &held)
	}
	rows, err := conn.Query(ctx, sql, players, keys)
	if err != nil {
		return err
	}
	defer rows.Close()

	for rows.Next() {
		if err := rows.Scan(fields...); err != nil {
			return err
		}

		i := repeated[ordinal-1]
		outcome := &stored.Outcomes[i]
		switch {
		case fingerprint.Bytes != a.fingerprints[i].Bytes:
			outcome.Err = keyReused()
			continue
		case held:
			outcome.Err = leaderboard.Errorf(leaderboard.CodeHeldBefore, "", "the submission with this Idempotency-Key is held back")
			continue
		}

		// Another submission of this batch may have stored the key a moment ago; it
		// is this one that repeats.
		outcome.Err, outcome.Event, outcome.Replayed = nil, event, true
	}

	return rows.Err()
}

// classify says what a failed statement means for its batch.
func classify(err error) error {
	state := sqlState(err)
	cause := fmt.Errorf("store submissions: %w", err)

	switch {
	case state == stateSerializationFailure || state == stateDeadlockDetected:
		return fmt.Errorf("%w: %w", leaderboard.ErrRepeat, unavailable("store submissions", err))
	case state == stateCheckViolation || state == stateNumericOutOfRange: // only sums can
		return fmt.Errorf("%w: %w", leaderboard.ErrRejected, sumOutOfRange().WithCause(cause))
	case state == stateLockNotAvailable || state == stateQueryCanceled:
		return fmt.Errorf("%w: %w", leaderboard.ErrRejected,
			leaderboard.Errorf(leaderboard.CodeUnavailable, "", "this player's scores are being changed elsewhere, try again").After(time.Second).WithCause(cause))
	case state == stateCardinalityViolation: // two submissions for one standing, of a board that is newer than the catalog
		return fmt.Errorf("%w: %w", leaderboard.ErrRejected, unavailable("store submissions", err))
	case inClass(state, classDataException, classConstraintViolation, classPLpgSQL):
		return fmt.Errorf("%w: %w", leaderboard.ErrRejected, leaderboard.Errorf(leaderboard.CodeInternal, "", "this submission could not be stored").WithCause(cause))
	case state == "" && pgconn.SafeToRetry(err): // nothing was sent
		return fmt.Errorf("%w: %w", leaderboard.ErrRepeat, unavailable("store submissions", err))
	}

	return unavailable("store submissions", err)
}
