package leaderboard

import "context"

// Include says what an answer is to have beyond the usual.
type Include struct {
	// ReachedAt asks for the times at which scores were reached.
	ReachedAt bool
	// Metadata asks for the metadata of the submissions.
	Metadata bool
}

// addIncluded fills in what is asked for beyond the usual. late says that something cannot be
// looked up now.
func (s *Service) addIncluded(ctx context.Context, scopes func(i int) scope, entries []RankingEntry, ranked func(i int) *RankedEntry) (late bool, err error) {
	lateTimes, err := s.addTimes(ctx, scopes, entries, ranked)
	if err != nil {
		return false, err
	}
	lateMetadata, err := s.addMetadata(ctx, scopes, entries, ranked)
	return lateTimes || lateMetadata, err
}
