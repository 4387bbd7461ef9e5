package leaderboard

import (
	"context"
	"slices"
)

// MaxNeighbours bounds the entries on one side of what they are around.
const MaxNeighbours = 50

// Neighbours are the entries around a place of a board.
type Neighbours struct {
	// Total is how many entries the board has.
	Total int64
	// Rank is what they are around has, or would have.
	Rank    int64
	Entries []RankingEntry
}

// AroundEntry reads the entries of a board around one, and that itself.
func AroundEntry(ctx context.Context, ranking Ranking, board LiveBoard, entry RankingEntry, before, after int64) (Neighbours, error) {
	start := max(entry.Place-1-before, 0)
	entries, total, err := ranking.Page(ctx, board, start, entry.Place+after-start)
	return Neighbours{Total: total, Rank: entry.Rank, Entries: entries}, err
}

// AroundPlace reads the entries around the place that a score would get, which it counts
// first.
func AroundPlace(ctx context.Context, ranking Ranking, board LiveBoard, score, before, after int64) (Neighbours, error) {
	counts, err := ranking.CountBetter(ctx, board, []ScoreBound{{Score: score, Included: true}})
	if err != nil {
		return Neighbours{}, err
	}

	place := counts[0] + 1
	start := max(place-1-before-1, 0)
	entries, total, err := ranking.Page(ctx, board, start, place-1+after-start)
	if err != nil {
		return Neighbours{}, err
	}
	return board.AroundNew(Neighbours{Total: total, Entries: entries}, score, place, before), nil
}

// AroundNew says which rank a score would get at a place, and leaves so many entries before
// it. n has one more, if there is one, by which ranks are counted on.
func (b Board) AroundNew(n Neighbours, score, place, before int64) Neighbours {
	n.Rank = place
	if i := slices.IndexFunc(n.Entries, func(e RankingEntry) bool { return e.Place == place-1 }); i >= 0 {
		// Of those with its score it would be the last, also by its columns.
		previous := n.Entries[i]
		n.Rank = b.Ranks.next(previous.Rank, place, previous.Score == score && len(b.Columns) == 0)
	}

	for len(n.Entries) > 0 && n.Entries[0].Place < place-before {
		n.Entries = n.Entries[1:]
	}
	return n
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
	entries, err := s.ranked(ctx, scope, n.Entries)
	return RankedNeighbours{Of: scope.Of, TotalEntries: n.Total, Rank: n.Rank, Entries: entries}, err
}
