package leaderboard

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

// ErrShardMoved says that a session on a shard was interrupted by another one, that
// the ranking lost a part of it, or that the shard is not where the session was to go
// on. The watermark was not advanced; the shard must be re-examined.
var ErrShardMoved = errors.New("the session on a shard was interrupted")

// SeasonID names a season of a board, by number.
type SeasonID struct{ Board, Season int32 }

// SeasonID names the board's season that is meant.
func (b LiveBoard) SeasonID() SeasonID { return SeasonID{b.Number, b.Season} }

// SeasonID names the season that the shard is of.
func (s ShardID) SeasonID() SeasonID { return SeasonID{s.Board, s.Season} }

// ShardID names one shard of the season of a board.
type ShardID struct {
	Board, Season int32
	Index         int
}

// Shard is one part of a board's ranking.
type Shard struct {
	ShardID
	// Segment is the number of the value whose segment is meant; 0: all of the shard. A
	// shard has the entries of its season and of the season's segments.
	Segment int32
	// Name is the board's.
	Name string
	// Of is over how many shards the board is spread.
	Of int
	// Fold and Ranks are the board's.
	Fold
	Ranks Ranks
	// Returned is as [LiveBoard.Returned].
	Returned int32
}

// Shard returns one shard of a season of the board, or of a segment of one.
func (b LiveBoard) Shard(season int32, index int) Shard {
	fold := b.rulesOf(season).Fold()
	season, segment := SplitSeason(season)
	return Shard{ShardID: ShardID{b.Number, season, index}, Segment: segment, Name: b.Name, Of: b.Shards, Fold: fold, Ranks: b.Ranks, Returned: b.Returned}
}

// RankingID names the season, or its segment, that the shard is a part of.
func (s Shard) RankingID() SeasonID {
	if s.Segment != 0 {
		return SeasonID{s.Board, SegmentSeason(s.Season, s.Segment)}
	}
	return s.SeasonID()
}

// AllShards returns all shards of the board's open season.
func (b LiveBoard) AllShards() []Shard {
	shards := make([]Shard, b.Shards)
	for i := range shards {
		shards[i] = b.Shard(b.Season, i)
	}
	return shards
}

// ShardIndex is the shard that a player's entry is in.
func ShardIndex(player int64, shards int) int { return int(player % int64(shards)) }

// ShardFor is the shard of the board that a player's entry is in.
func (b LiveBoard) ShardFor(key EntryKey) Shard {
	return b.Shard(key.Season, ShardIndex(key.Player, b.Shards))
}

// Identity names what the shard's data belong to: the ledger, how many segments had been
// brought back, whether they have what dense
// ranks need, and over how many shards the board was spread when they were written.
func (s Shard) Identity(ledger string) string {
	if s.Returned > 0 {
		ledger += returnedMark + strconv.Itoa(int(s.Returned))
	}
	if s.Ranks == Dense {
		ledger += denseMark
	}
	return ledger + "/" + strconv.Itoa(s.Of)
}

const returnedMark = "/segments-"

const denseMark = "/dense"

// Serves says whether data of an identity can answer for the shard.
func (s Shard) Serves(identity string) bool {
	data, ok := strings.CutSuffix(identity, "/"+strconv.Itoa(s.Of))
	data, dense := strings.CutSuffix(data, denseMark)
	return ok && (s.Ranks != Dense || dense) && (s.Returned == 0 || strings.HasSuffix(data, returnedMark+strconv.Itoa(int(s.Returned))))
}

// ShardState is what a shard of the ranking says of itself.
type ShardState struct {
	// Identity is as [Shard.Identity]; empty: there is none.
	Identity string
	// Watermark: every event of a transaction below it is in the shard. "": there is
	// none, the shard is not whole. Watermarks have 20 digits, so that text compares
	// as the number.
	Watermark string
	// Whole is false where the entries are not as many as the state says: Redis has
	// lost a part.
	Whole bool
	// Applied are transactions whose batches were applied, in the order in which they
	// were.
	Applied []uint64
	// Moderated is the number of the last moderation that the shard has followed.
	Moderated int64
	// Err says that the shard cannot be reached.
	Err error
}

// SessionStart says how a session on a shard begins.
type SessionStart struct {
	// Ledger is the ledger's identity.
	Ledger string
	// Watermark is the shard's, "": it has none. With another one the session does not
	// begin: [ErrShardMoved].
	Watermark string
	// Discard throws away what is there.
	Discard bool
	// Repair says that the shard is not where its leader left it: snapshots that were
	// made of it end with the session.
	Repair bool
}

// RankingSession is one run of catch-up on one shard: a gapless sequence of chunks
// that ends with a new watermark. The ranking takes the chunks of the latest session
// only.
type RankingSession interface {
	// Apply waits until the last chunk has been applied, and starts to apply the next
	// one. The standings may be used again once it returns.
	Apply(ctx context.Context, standings []Standing) error
	// Wait returns once no chunk is on its way, with the error of the last one.
	Wait() error
	// Finish waits for the last chunk and sets the watermark. known are the first of
	// the shard's Applied, which are not needed any more. A ranking that does not have
	// them has lost what they stand for: [ErrShardMoved].
	Finish(ctx context.Context, watermark string, known []uint64) error
}
