package postgres

import (
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// storedLimits are a board's limits as they are stored.
type storedLimits struct {
	PerMinute       int              `json:"perMinute,omitempty"`
	CooldownSeconds int64            `json:"cooldownSeconds,omitempty"`
	Attempts        []storedAttempts `json:"attempts,omitempty"`
}

// storedAttempts is a limit of a season.
type storedAttempts struct {
	Window string `json:"window"`
	Max    int    `json:"max"`
}

// storeLimits returns limits as they are stored; nil: there are none.
func storeLimits(l leaderboard.Limits) ([]byte, error) {
	if !l.Any() {
		return nil, nil
	}

	stored := storedLimits{PerMinute: l.PerMinute, CooldownSeconds: int64(l.Cooldown / time.Second)}
	for _, a := range l.Attempts {
		stored.Attempts = append(stored.Attempts, storedAttempts(a))
	}
	return json.Marshal(stored)
}

// limits reads them; nil are none.
func (s *storedLimits) limits() leaderboard.Limits {
	if s == nil {
		return leaderboard.Limits{}
	}

	l := leaderboard.Limits{PerMinute: s.PerMinute, Cooldown: time.Duration(s.CooldownSeconds) * time.Second}
	for _, a := range s.Attempts {
		l.Attempts = append(l.Attempts, leaderboard.Attempts(a))
	}
	return l
}

// countsRow is what a row of the statements says of the limits of a submission's board; without a
// minute it has none.
type countsRow struct {
	minute        pgtype.Int4
	freesAt, last pgtype.Timestamptz
	used          []int32
}

func (c *countsRow) fields() []any { return []any{&c.minute, &c.freesAt, &c.last, &c.used} }

// allowances are what the limits of the board leave the player after the submission of the row.
// They are nil where the board has none, also by now.
func (r *storedRow) allowances(rows *storedRows) []leaderboard.Allowance {
	board, ok := rows.catalog.Numbered(r.board.Int32)
	if !ok || !r.counts.minute.Valid {
		return nil
	}

	counts := leaderboard.Counts{Recent: int(r.counts.minute.Int32), Frees: r.counts.freesAt.Time, Last: r.counts.last.Time, Attempts: r.counts.used}
	return board.Allowances(counts, rows.at, r.kind == "stored" && r.verdict.String != "duplicate")
}
