package ledgertest

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

// SwitchRefold switches the board as whoever leads does: on a slow machine the time in which
// nobody can append may be up before it is done, and then it is tried again.
func SwitchRefold(tb testing.TB, ledger *postgres.Ledger, work leaderboard.RefoldWork, apply func(ctx context.Context, changed []leaderboard.Standing) error) (after leaderboard.RefoldWork, switched bool) {
	tb.Helper()
	for {
		after, switched, err := ledger.SwitchRefold(tb.Context(), work, apply)
		if errors.Is(err, context.DeadlineExceeded) && tb.Context().Err() == nil {
			continue
		}

		require.NoError(tb, err)
		return after, switched
	}
}
