package leaderboard

import "context"

// MaxNeighbours bounds the entries on one side of what they are around.
const MaxNeighbours = 50

// Neighbours are the entries around a place of a board.
type Neighbours struct {
	// Total is how many entries the board has.
	Total int64
	// Rank is that of the place, from 1.
	Rank    int64
	Entries []RankingEntry
}

// AroundRank reads the entries of a board before a rank and those from it on.
func AroundRank(ctx context.Context, ranking Ranking, board LiveBoard, rank, before, from int64) (Neighbours, error) {
	start := max(rank-1-before, 0)
	entries, total, err := ranking.Page(ctx, board, start, rank-1+from-start)
	return Neighbours{Total: total, Rank: rank, Entries: entries}, err
}

// AroundPlace is [AroundRank] of the place that a score would get, which it counts first.
func AroundPlace(ctx context.Context, ranking Ranking, board LiveBoard, score, before, after int64) (Neighbours, error) {
	counts, err := ranking.CountBetter(ctx, board, []ScoreBound{{Score: score, Included: true}})
	if err != nil {
		return Neighbours{}, err
	}
	return AroundRank(ctx, ranking, board, counts[0]+1, before, after)
}

// RankedNeighbours are [Neighbours] with names.
type RankedNeighbours struct {
	Of
	TotalEntries int64
	// Rank is the player's, or the one that the score would get now.
	Rank    int64
	Entries []RankedEntry
}

// AroundPlayer returns a player's entry with at most so many before and after it.
// CodeNoEntry says that the player has no entry there.
func (s *Service) AroundPlayer(ctx context.Context, view View, id PlayerID, before, after int64) (RankedNeighbours, error) {
	return s.around(ctx, view, before, after, func(scope scope) (Neighbours, error) {
		name, err := s.Directory.Name(ctx, id)
		if err != nil {
			return Neighbours{}, err
		}
		return scope.ranking.AroundPlayer(ctx, scope.board, name.Number, before, after)
	})
}

// AroundScore returns the entries before and after the place that a score would get if it
// were reached now: after those with the same score.
func (s *Service) AroundScore(ctx context.Context, view View, score, before, after int64) (RankedNeighbours, error) {
	return s.around(ctx, view, before, after, func(scope scope) (Neighbours, error) {
		if score < -MaxScore || score > MaxScore {
			return Neighbours{}, invalid("score", "score must be from %d to %d", int64(-MaxScore), int64(MaxScore))
		}
		return scope.ranking.AroundScore(ctx, scope.board, score, before, after)
	})
}

func (s *Service) around(ctx context.Context, view View, before, after int64, read func(scope) (Neighbours, error)) (RankedNeighbours, error) {
	scope, err := s.open(ctx, view)
	if err != nil {
		return RankedNeighbours{}, err
	}
	for field, value := range map[string]int64{"before": before, "after": after} {
		if value < 0 || value > MaxNeighbours {
			return RankedNeighbours{}, invalid(field, "%s must be from 0 to %d", field, MaxNeighbours)
		}
	}

	n, err := read(scope)
	if err != nil {
		return RankedNeighbours{}, err
	}
	entries, err := s.named(ctx, scope, n.Entries)
	return RankedNeighbours{Of: scope.Of, TotalEntries: n.Total, Rank: n.Rank, Entries: entries}, err
}
