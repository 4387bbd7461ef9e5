package postgres

import (
	"context"
	_ "embed" // the statement
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// appendMetadataSQL is what the statements that append have besides where a submission has
// metadata: $12 the ordinals of those submissions, $13 their metadata.
//
//go:embed queries/append_metadata.sql
var appendMetadataSQL string

// withMetadata puts what stores metadata before what a statement returns.
func withMetadata(statement string) string {
	const returned = "\nSELECT 'ledger' AS kind"
	before, after, found := strings.Cut(statement, returned)
	if !found || strings.Contains(after, returned) {
		panic("a statement that appends returns its rows in another way") // no test has passed
	}
	return before + appendMetadataSQL + strings.TrimPrefix(returned, "\n") + after
}

// metadataTimeout bounds one lookup of the metadata of a page, which goes out without it
// rather than late.
const metadataTimeout = 500 * time.Millisecond

// Metadata implements [leaderboard.MetadataStore].
func (l *Ledger) Metadata(ctx context.Context, events []int64) (map[int64]string, error) {
	ctx, done, err := l.lookUp(ctx, metadataTimeout)
	if err != nil {
		return nil, err
	}
	defer done()

	rows, err := l.pool.Query(ctx, "SELECT event, metadata FROM event_metadata WHERE event = ANY ($1)", events)
	if err != nil {
		return nil, unavailable("read the metadata of entries", err)
	}

	found := make(map[int64]string)
	var event int64
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&event, &text}, func() error { found[event] = text; return nil }); err != nil {
		return nil, unavailable("read the metadata of entries", err)
	}
	return found, nil
}
