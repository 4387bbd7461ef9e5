package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// SyncBoards implements [leaderboard.BoardStore]: new boards get a number and their first
// season, windows have theirs announced, boards that are no longer configured become
// inactive, those with another order, scoring or columns are refolded, and nothing is ever deleted or
// given another number.
func (l *Ledger) SyncBoards(ctx context.Context, boards leaderboard.Boards) (*leaderboard.Catalog, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		// Replicas start together: one after the other, so that numbers are given once.
		if err := lockBoards(ctx, tx, "boards"); err != nil {
			return err
		}

		existing, err := readBoards(ctx, tx)
		if err != nil {
			return err
		}

		if err := syncAttributes(ctx, tx, boards.Attributes()); err != nil {
			return err
		}
		if err := syncBoards(ctx, tx, existing, boards.All()); err != nil {
			return err
		}
		return announceSeasons(ctx, tx)
	})
	if err != nil {
		return nil, fmt.Errorf("bring the ledger's boards in line with the configuration: %w", err)
	}

	return l.LoadCatalog(ctx)
}

func syncBoards(ctx context.Context, tx pgx.Tx, existing []leaderboard.LiveBoard, boards []leaderboard.Board) error {
	byName := make(map[string]leaderboard.LiveBoard, len(existing))
	for _, b := range existing {
		byName[b.Name] = b
	}

	names := make([]string, len(boards))
	for i, b := range boards {
		names[i] = b.Name
		old, known := byName[b.Name]
		if known {
			if err := syncRefold(ctx, tx, old, b); err != nil {
				return err
			}
			b = old.Keeping(b)
		}
		if known && old.Equal(b) && old.Active {
			continue
		}
		number, err := upsertBoard(ctx, tx, b, known)
		if err != nil {
			return err
		}
		if old.Segmented || len(b.Segments) > 0 {
			if err := syncSegments(ctx, tx, number, b); err != nil {
				return err
			}
		}
		if err := syncWindows(ctx, tx, number, b); err != nil {
			return err
		}
	}

	if _, err := tx.Exec(ctx, "UPDATE boards SET active = false WHERE active AND name <> ALL ($1)", names); err != nil {
		return fmt.Errorf("deactivate boards: %w", err)
	}

	for _, old := range existing {
		if !slices.Contains(names, old.Name) {
			if err := syncRefold(ctx, tx, old, old.Board); err != nil {
				return err
			}
		}
	}
	return nil
}

func upsertBoard(ctx context.Context, tx pgx.Tx, b leaderboard.Board, known bool) (number int32, err error) {
	sql := `WITH board AS (
			INSERT INTO boards (name, board_order, scoring, min_score, max_score, counts_toward_global, shards, derived, decimals, windows_only, ranks, columns, max_metadata, metadata_schema, servers_only, signed, max_improvement, limits, review, reviewed, external_owners, bounded_since, bounded_xid)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17::bigint, $18, $19::jsonb, $19 IS NOT NULL, $20, CASE WHEN $17 > 0 THEN now() END, CASE WHEN $17 > 0 THEN log_xid() END) RETURNING number),
		season AS (INSERT INTO seasons (board, number, opens_at) SELECT number, 1, '-infinity' FROM board)
		SELECT number FROM board`
	if known {
		sql = `UPDATE boards SET min_score = $4, max_score = $5, counts_toward_global = $6, shards = $7, derived = $8, decimals = $9, windows_only = $10,
			ranks = $11, columns = $12, max_metadata = $13, metadata_schema = $14, servers_only = $15, signed = $16, max_improvement = $17, limits = $18, review = $19::jsonb, reviewed = reviewed OR $19 IS NOT NULL, external_owners = $20,
			bounded_since = CASE WHEN $17::bigint = 0 THEN NULL WHEN max_improvement = 0 THEN now() ELSE bounded_since END,
			bounded_xid = CASE WHEN $17 = 0 THEN NULL WHEN max_improvement = 0 THEN log_xid() ELSE bounded_xid END, active = true WHERE name = $1 AND board_order = $2 AND scoring = $3 RETURNING number`
	}

	limits, err := storeLimits(b.Limits)
	if err != nil {
		return 0, fmt.Errorf("store the limits of board %s: %w", b.Name, err)
	}
	err = tx.QueryRow(ctx, sql, b.Name, b.Order, b.Scoring, b.MinScore, b.MaxScore, b.CountsTowardGlobal, b.Shards, b.Derived, b.Decimals, b.WindowsOnly, b.Ranks, storedColumns(b.Columns),
		b.Metadata.MaxBytes, b.Metadata.Schema, b.ServersOnly, b.Signed, b.ImprovementBound(), limits, storedReview(b.Review), b.External).Scan(&number)
	if err != nil {
		return 0, fmt.Errorf("store board %s: %w", b.Name, err)
	}
	return number, nil
}

// syncWindows brings the windows of a board in line. The seasons of one that is no longer
// configured stay.
func syncWindows(ctx context.Context, tx pgx.Tx, board int32, b leaderboard.Board) error {
	names := make([]string, len(b.Windows))
	for i, w := range b.Windows {
		names[i] = w.Name
		_, err := tx.Exec(ctx, `
			INSERT INTO windows (board, name, place, schedule, time_zone, starts_at, ends_at, keep) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (board, name) DO UPDATE SET place = excluded.place, schedule = excluded.schedule, time_zone = excluded.time_zone,
				starts_at = excluded.starts_at, ends_at = excluded.ends_at, keep = excluded.keep, active = true`,
			board, w.Name, i, w.Schedule, w.TimeZone, nullTime(w.Start), nullTime(w.End), w.Keep)
		if err != nil {
			return fmt.Errorf("store window %s of board %s: %w", w.Name, b.Name, err)
		}
	}

	if _, err := tx.Exec(ctx, "UPDATE windows SET active = false WHERE board = $1 AND active AND name <> ALL ($2)", board, names); err != nil {
		return fmt.Errorf("deactivate windows of board %s: %w", b.Name, err)
	}
	return nil
}

// nullTime is null for the zero time.
func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// LoadCatalog reads the boards with their seasons and remembers them for Catalog. Names of
// players who were erased since the last time are forgotten.
func (l *Ledger) LoadCatalog(ctx context.Context) (*leaderboard.Catalog, error) {
	return l.loadCatalog(ctx, l.pool)
}

// beginner is what a pool and a connection have in common.
type beginner interface {
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

func (l *Ledger) loadCatalog(ctx context.Context, from beginner) (*leaderboard.Catalog, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	var catalog *leaderboard.Catalog
	var erased []int64
	known, first := l.forgotten.Load(), l.Catalog() == nil
	ticket := l.catalogs.begin()
	err := pgx.BeginTxFunc(ctx, from, oneSnapshot, func(tx pgx.Tx) error {
		boards, err := readBoards(ctx, tx)
		if err != nil {
			return err
		}
		if catalog, err = leaderboard.NewCatalog(boards); err != nil {
			return err
		}
		if catalog, err = withAttributes(ctx, tx, catalog); err != nil {
			return err
		}

		var version, moderated, recounted int64
		var now time.Time
		if err := tx.QueryRow(ctx, "SELECT version, clock_timestamp(), "+lastModerationSQL+", "+lastRecountSQL+" FROM boards_version").Scan(&version, &now, &moderated, &recounted); err != nil {
			return fmt.Errorf("read the version of the boards: %w", err)
		}
		catalog = catalog.AsOf(version, now).WithModerations(moderated, recounted)
		if moderated != known && !first {
			erased, err = readErased(ctx, tx, min(known, moderated))
		}
		return err
	})
	if err != nil {
		return nil, unavailable("read the boards", err)
	}

	l.catalogs.store(ticket, catalog)
	if d := l.directory.Load(); d != nil {
		d.forget(erased)
	}
	l.forgotten.Store(catalog.Moderated())
	return catalog, nil
}

// catalogs has the boards as they were read last. Of two that are read at the same time the
// one stays whose reading began later: what was superseded does not come back.
type catalogs struct {
	latest atomic.Pointer[leaderboard.Catalog]
	begun  atomic.Uint64

	mu     sync.Mutex
	stored uint64 // the ticket of latest
}

func (c *catalogs) begin() (ticket uint64) { return c.begun.Add(1) }

func (c *catalogs) store(ticket uint64, catalog *leaderboard.Catalog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ticket > c.stored {
		c.stored = ticket
		c.latest.Store(catalog)
	}
}

// oneSnapshot is for reading what belongs together.
var oneSnapshot = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// Catalog returns the boards as of the last SyncBoards or LoadCatalog; nil
// before the first.
func (l *Ledger) Catalog() *leaderboard.Catalog { return l.catalogs.latest.Load() }

// readBoards returns the boards with their windows and the seasons that are not over for
// good; one without the season of all time has season 0.
func readBoards(ctx context.Context, tx pgx.Tx) ([]leaderboard.LiveBoard, error) {
	rows, err := tx.Query(ctx, `
		SELECT b.name, b.board_order, b.scoring, b.min_score, b.max_score, b.counts_toward_global, b.shards, b.derived, b.decimals, b.windows_only, b.ranks, b.columns, b.max_metadata, b.metadata_schema, b.servers_only, b.signed, b.max_improvement, b.limits, b.review, b.reviewed, b.external_owners, b.left_out, b.number, b.active, coalesce(s.number, 0)
		FROM boards b
		LEFT JOIN seasons s ON s.board = b.number AND s.opens_at <= now() AND (s.closes_at IS NULL OR s.closes_at > now())
		ORDER BY b.number`)
	if err != nil {
		return nil, fmt.Errorf("query the boards: %w", err)
	}

	boards, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b leaderboard.LiveBoard, err error) {
		var columns []storedColumn
		var limits *storedLimits
		var review *reviewRules
		err = row.Scan(&b.Name, &b.Order, &b.Scoring, &b.MinScore, &b.MaxScore, &b.CountsTowardGlobal, &b.Shards, &b.Derived, &b.Decimals, &b.WindowsOnly, &b.Ranks, &columns, &b.Metadata.MaxBytes, &b.Metadata.Schema, &b.ServersOnly, &b.Signed, &b.MaxImprovement, &limits, &review, &b.Reviewed, &b.External, &b.LeftOut, &b.Number, &b.Active, &b.Season)
		b.Columns, b.Limits, b.Review = definedColumns(columns), limits.limits(), review.review()
		if b.Review.ImprovementAbove != nil {
			b.MaxImprovement = 0 // the bound is that of the review
		}
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the boards: %w", err)
	}

	byNumber := make(map[int32]*leaderboard.LiveBoard, len(boards))
	for i := range boards {
		byNumber[boards[i].Number] = &boards[i]
	}
	if err := readWindows(ctx, tx, byNumber); err != nil {
		return nil, err
	}
	if err := readRunningSeasons(ctx, tx, byNumber); err != nil {
		return nil, err
	}
	if err := readSegments(ctx, tx, byNumber); err != nil {
		return nil, err
	}
	return boards, readRefolds(ctx, tx, byNumber)
}

func readWindows(ctx context.Context, tx pgx.Tx, boards map[int32]*leaderboard.LiveBoard) error {
	rows, err := tx.Query(ctx, "SELECT board, name, schedule, time_zone, starts_at, ends_at, keep FROM windows WHERE active ORDER BY board, place")
	if err != nil {
		return fmt.Errorf("query the windows: %w", err)
	}
	defer rows.Close()

	for rows.Next() {
		var board int32
		var w leaderboard.Window
		var start, end *time.Time
		if err := rows.Scan(&board, &w.Name, &w.Schedule, &w.TimeZone, &start, &end, &w.Keep); err != nil {
			return fmt.Errorf("read the windows: %w", err)
		}
		if start != nil && end != nil {
			w.Start, w.End = start.UTC(), end.UTC()
		}
		boards[board].Windows = append(boards[board].Windows, w)
	}
	return rows.Err()
}
