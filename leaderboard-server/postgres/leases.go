package postgres

import (
	"context"
	"time"
)

// LeaseSubmissions hands out submissions of the second that it is, to whichever server asks: those
// of the same second are perSecond together at the most.
func (l *Ledger) LeaseSubmissions(ctx context.Context, perSecond, wanted int) (granted int, left time.Duration, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err = l.pool.QueryRow(ctx, "SELECT granted, remaining FROM lease_submissions($1, $2)", perSecond, wanted).Scan(&granted, &left)
	if err != nil {
		return 0, 0, unavailable("lease submissions", err)
	}
	return granted, left, nil
}
