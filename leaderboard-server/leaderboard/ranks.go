package leaderboard

// Ranks says how entries with the same score and columns are counted.
type Ranks string

// The ranks: of 50, 40, 40, 30 they are
const (
	// Ordinal are 1, 2, 3, 4: who was there first is first.
	Ordinal Ranks = "Ordinal"
	// Competition are 1, 2, 2, 4: how many are better, and one.
	Competition Ranks = "Competition"
	// Dense are 1, 2, 2, 3: how many better ones there are to be seen, and one. They take
	// memory of the ranking for each, and a ranking in one shard.
	Dense Ranks = "Dense"
)

func (b Board) validateRanks() error {
	switch {
	case b.Ranks != Ordinal && b.Ranks != Competition && b.Ranks != Dense:
		return invalid("ranks", "ranks of board %s must be Ordinal, Competition or Dense, not %q", b.Name, b.Ranks)
	case b.Ranks == Dense && b.Shards > 1:
		return invalid("ranks", "ranks of board %s cannot be Dense with %d shards, as each would have to know the scores of all: set shards to 1, or ranks to Competition", b.Name, b.Shards)
	}
	return nil
}

// next is the rank of the entry at a place, by that of the one before it; same says that
// both have the same score and columns.
func (r Ranks) next(previous, place int64, same bool) int64 {
	switch {
	case r == Ordinal:
		return place
	case same:
		return previous
	case r == Dense:
		return previous + 1
	default:
		return place
	}
}

// CountOn sets the ranks of entries that follow each other and have places, but for the
// first, which has its rank.
func (r Ranks) CountOn(entries []RankingEntry) {
	for i := 1; i < len(entries); i++ {
		before, e := &entries[i-1], &entries[i]
		e.Rank = r.next(before.Rank, e.Place, before.Score == e.Score && before.Columns == e.Columns)
	}
}

// Percentile is which share of the entries the entry is at least as good as, itself
// included, in hundredths of a percent, rounded down: 10000 is that of the best.
func (e OwnEntry) Percentile() int64 {
	if e.Total == 0 {
		return 0
	}
	// Entries come and go between the two counts of a board of several shards.
	return min(max(e.Total-e.Better, 0), e.Total) * 10_000 / e.Total
}

// Named are the columns of an entry on the board by their names; nil where there are none.
func (b Board) Named(columns Columns) map[string]int64 {
	if len(b.Columns) == 0 {
		return nil
	}

	named, fold := make(map[string]int64, len(b.Columns)), b.Fold()
	for i, c := range b.Columns {
		named[c.Name] = columns[fold.Place(i)]
	}
	return named
}
