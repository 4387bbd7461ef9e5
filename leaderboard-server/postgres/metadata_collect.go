package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// metadataSlice is of how many events the metadata is gone through at a time: each time
	// the standings and results are read once. 4 MB.
	metadataSlice = 500_000
	// metadataChunk is how many are deleted in one statement.
	metadataChunk = 5_000
	// metadataScan bounds the reading of all standings, and of all results, for a slice.
	metadataScan = 4 * time.Minute
	// metadataRun is after which time a run begins no further slice, so that the rest of
	// maintenance has its turn: the next run goes on.
	metadataRun = 10 * time.Minute
	// metadataLease is for how long a server has the collection after each slice: longer than
	// one takes.
	metadataLease = 15 * time.Minute
	// metadataMargin is how long ago the events are by which the beginning of the log is
	// found: longer than a transaction that appends may take.
	metadataMargin = time.Hour
)

// collectMetadata deletes the metadata of events that retention has dropped, unless an entry
// or a result is of them, after each month that was dropped. That of others goes then, too,
// which were an entry's the last time. It is done by one server at a time; two would do no
// harm.
func (l *Ledger) collectMetadata(ctx context.Context) error {
	begun := time.Now()
	c, err := l.beginCollection(ctx)
	if err != nil {
		return fmt.Errorf("collect metadata: %w", err)
	}
	for more := c != nil; more && time.Since(begun) < metadataRun; {
		if more, err = c.step(ctx); err != nil {
			return fmt.Errorf("collect metadata: %w", err)
		}
	}
	return nil
}

// collection is a run.
type collection struct {
	ledger *Ledger
	// begins is when the log begins, and first the lowest number of its events: what is
	// below is not in the log.
	begins time.Time
	first  int64
	// position: events up to it were gone through.
	position int64
}

// beginCollection takes the collection; nil: there is nothing to do, or another server has it.
func (l *Ledger) beginCollection(ctx context.Context) (*collection, error) {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	c := &collection{ledger: l}
	err := l.aside.QueryRow(ctx, `
		WITH log AS MATERIALIZED (SELECT `+logBeginsSQL+` AS begins)
		UPDATE metadata_collection c SET taken_until = clock_timestamp() + $1 FROM log
		WHERE c.taken_until < clock_timestamp() AND c.log_begins < log.begins AND EXISTS (SELECT FROM event_metadata)
		RETURNING log.begins, c.position`, metadataLease).Scan(&c.begins, &c.position)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}

	// The lowest number is among the first events, as numbers are given in the order of time
	// but for what a failover sets the clock back by: less than a day.
	for span := 24 * time.Hour; c.first == 0; span *= 2 {
		var recent bool
		err := l.aside.QueryRow(ctx, "SELECT coalesce(min(id), 0), $1::timestamptz + $2 > now() - $3::interval FROM score_events WHERE at >= $1 AND at < $1::timestamptz + $2",
			c.begins, span, metadataMargin).Scan(&c.first, &recent)
		if err != nil || recent { // a lower one may not be committed yet: next time
			return nil, err
		}
	}
	return c, nil
}

// step goes through a slice; more: there is another one.
func (c *collection) step(ctx context.Context) (more bool, err error) {
	events, err := c.candidates(ctx)
	if err != nil {
		return false, err
	}
	if len(events) == 0 {
		return false, c.record(ctx, "UPDATE metadata_collection SET log_begins = $1, position = 0, taken_until = '-infinity'", c.begins)
	}

	garbage, err := c.withoutEntry(ctx, events)
	if err != nil {
		return false, err
	}
	for chunk := range slices.Chunk(garbage, metadataChunk) {
		if err := c.delete(ctx, chunk); err != nil {
			return false, err
		}
	}

	c.position = events[len(events)-1]
	return true, c.record(ctx, "UPDATE metadata_collection SET position = $1, taken_until = clock_timestamp() + $2", c.position, metadataLease)
}

// candidates are the next events that have metadata and are not in the log, in their order.
func (c *collection) candidates(ctx context.Context) (events []int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	rows, err := c.ledger.aside.Query(ctx, "SELECT event FROM event_metadata WHERE event > $1 AND event < $2 ORDER BY event LIMIT $3", c.position, c.first, metadataSlice)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// withoutEntry are those of the events that no entry is of, whichever ranking it is in.
func (c *collection) withoutEntry(ctx context.Context, events []int64) (garbage []int64, err error) {
	kept := make([]bool, len(events))

	// It only reads: a transaction that writes would hold back the watermarks of all games on
	// the server.
	err = readFor(ctx, c.ledger.aside, metadataScan, func(ctx context.Context, tx pgx.Tx, progress func()) error {
		if err := alone(ctx, tx); err != nil {
			return err
		}
		for _, sql := range []string{
			"SELECT event FROM standings WHERE event BETWEEN $1 AND $2",
			"SELECT event FROM result_ranks r CROSS JOIN unnest(r.events) AS event WHERE event BETWEEN $1 AND $2",
			"SELECT event FROM result_changes WHERE event BETWEEN $1 AND $2",
		} {
			progress()
			rows, err := tx.Query(ctx, sql, events[0], events[len(events)-1])
			if err != nil {
				return err
			}
			var event int64
			_, err = pgx.ForEachRow(rows, []any{&event}, func() error {
				if i, found := slices.BinarySearch(events, event); found {
					kept[i] = true
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look which events entries are of: %w", err)
	}

	for i, e := range events {
		if !kept[i] {
			garbage = append(garbage, e)
		}
	}
	return garbage, nil
}

func (c *collection) delete(ctx context.Context, events []int64) error {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	_, err := c.ledger.aside.Exec(ctx, "DELETE FROM event_metadata WHERE event = ANY ($1)", events)
	return err
}

// record stores how far it is.
func (c *collection) record(ctx context.Context, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	_, err := c.ledger.aside.Exec(ctx, sql, args...)
	return err
}
