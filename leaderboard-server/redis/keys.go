package redis

import (
	"fmt"
	"strconv"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// bucketSize is how many players share a hash: the default of
// hash-max-listpack-entries, above which a hash takes three times the memory.
const bucketSize = 128

// segmentBucket is how many players share a hash of what they have in segments: as many
// fields as in another one where there are four of each player's.
const segmentBucket = 32

// format begins the last part of every key. Another storage format has another, so
// that servers of two versions may work side by side, each on a ranking of its own.
const format = "2"

// formatOfColumns is that of boards with columns, which servers that know none would damage.
const formatOfColumns = "3"

// shard is one part of a board's ranking, with the names of its keys.
type shard struct{ leaderboard.Shard }

func shardsOf(board leaderboard.LiveBoard) []shard {
	all := board.AllShards()
	shards := make([]shard, len(all))
	for i, s := range all {
		shards[i] = shard{s}
	}
	return shards
}

func (s shard) key(prefix, suffix string) string {
	f := format
	if s.Columns[0] != "" {
		f = formatOfColumns
	}
	return fmt.Sprintf("%s{%s:%d:%d}:%s%s", prefix, s.Name, s.Season, s.Index, f, suffix)
}

func (s shard) entriesKey(prefix string) string { return s.key(prefix, "e"+segmentSuffix(s.Segment)) }
func (s shard) stateKey(prefix string) string   { return s.key(prefix, "m") }

// appliedKey is of a text: the transactions whose batches were applied, one after the
// other, see encodeTransaction.
func (s shard) appliedKey(prefix string) string { return s.key(prefix, "a") }
func (s shard) bucketKey(prefix string, bucket int64) string {
	return s.key(prefix, "p:"+strconv.FormatInt(bucket, 10))
}

func (s shard) segmentBucketKey(prefix string, bucket int64) string {
	return s.key(prefix, "q:"+strconv.FormatInt(bucket, 10))
}

// segmentSuffix ends the keys and fields that are of a segment.
func segmentSuffix(segment int32) string {
	if segment == 0 {
		return ""
	}
	return "/" + strconv.Itoa(int(segment))
}

// bucketOf is the number of the hash that holds a player of this shard.
func (s shard) bucketOf(player int64) int64 { return player / int64(s.Of) / bucketSize }

// place returns the key of the hash, and the field, that hold a player of this shard, or of
// the segment of it that is meant.
func (s shard) place(prefix string, player int64) (bucket, field string) {
	local := player / int64(s.Of)
	if s.Segment == 0 {
		return s.bucketKey(prefix, local/bucketSize), strconv.FormatInt(local%bucketSize, 10)
	}
	return s.segmentBucketKey(prefix, local/segmentBucket), strconv.FormatInt(local%segmentBucket, 10) + segmentSuffix(s.Segment)
}

// oriented turns a score into what the sorted set holds, and back: the best is always
// the lowest.
func (s shard) oriented(score int64) int64 {
	if s.Order == leaderboard.Descending {
		return -score
	}
	return score
}
