package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// HistoryInSmallParts is History that may read one span of the log at a time, for tests.
func (l *Ledger) HistoryInSmallParts(ctx context.Context, query leaderboard.HistoryQuery) (leaderboard.HistoryPart, error) {
	return l.history(ctx, query, 0)
}

// Plans says how often a pooled connection planned the batch statement for its
// arguments, and how often it used the one plan for all, for tests.
func (l *Ledger) Plans(ctx context.Context) (custom, generic int64, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT sum(custom_plans)::bigint, sum(generic_plans)::bigint FROM pg_prepared_statements WHERE statement = $1", appendAny[appendForm{}]).Scan(&custom, &generic)
	})
	return custom, generic, err
}
