package leaderboard

import "context"

// Include says what an answer is to have beyond the usual.
type Include struct {
	// ReachedAt asks for the times at which scores were reached.
	ReachedAt bool
	// Metadata asks for the metadata of the submissions.
	Metadata bool
}

// addIncluded fills in what is asked for beyond the usual.
func (s *Service) addIncluded(ctx context.Context, scopes func(i int) scope, entries []RankingEntry, ranked func(i int) *RankedEntry) error {
	if err := s.addTimes(ctx, scopes, entries, ranked); err != nil {
		return err
	}
	return s.addMetadata(ctx, scopes, entries, ranked)
}
