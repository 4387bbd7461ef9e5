package leaderboard

import (
	"context"
	"time"
)

// EntryTimes knows when the scores of entries were reached.
type EntryTimes interface {
	// ReachedAt returns the times of the entries' events, in the order of the queries:
	// zero where it cannot be known, or not soon enough. An error says that this may be
	// another time later.
	ReachedAt(ctx context.Context, queries []ReachedQuery) ([]time.Time, error)
}

// ReachedQuery asks when the score of an entry was reached.
type ReachedQuery struct {
	// Board has the season that the entry is in.
	Board LiveBoard
	// Season is that season where it is one of a window.
	Season Season
	RankingEntry
}

// WithoutStandings says that no standing is made of the entry: windows have none, unless the
// scoring is ordered.
func (q ReachedQuery) WithoutStandings() bool {
	return q.Season.Number != 0 && !q.Season.Closed() && !q.Board.Scoring.Ordered()
}

// addTimes fills in when the scores of entries were reached, if that was asked for. Like
// names, the times are left out where they cannot be looked up now.
func (s *Service) addTimes(ctx context.Context, scopes func(i int) scope, entries []RankingEntry, ranked func(i int) *RankedEntry) error {
	var queries []ReachedQuery
	var places []int
	for i, e := range entries {
		if scope := scopes(i); scope.include.ReachedAt && e.Rank != 0 {
			queries, places = append(queries, ReachedQuery{Board: scope.board, Season: scope.season, RankingEntry: e}), append(places, i)
		}
	}
	if len(queries) == 0 {
		return nil
	}

	times, err := s.Times.ReachedAt(ctx, queries)
	if err != nil && (ctx.Err() != nil || !temporary(err)) {
		return err
	}
	for i, at := range times {
		ranked(places[i]).ReachedAt = at
	}
	return nil
}
