package redis

import (
	"fmt"
	"strconv"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// bucketSize is how many players share a hash: the default of
// hash-max-listpack-entries, above which a hash takes three times the memory.
const bucketSize = 128

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

func (s shard) entriesKey(prefix string) string { return s.key(prefix, "e") }
func (s shard) stateKey(prefix string) string   { return s.key(prefix, "m") }

// appliedKey is of a text: the transactions whose batches were applied, one after the
// other, see encodeTransaction.
func (s shard) appliedKey(prefix string) string { return s.key(prefix, "a") }
func (s shard) bucketKey(prefix string, bucket int64) string {
	return s.key(prefix, "p:"+strconv.FormatInt(bucket, 10))
}

// place returns the hash and the field that hold a player of this shard.
func (s shard) place(player int64) (bucket int64, field string) {
	local := player / int64(s.Of)
	return local / bucketSize, strconv.FormatInt(local%bucketSize, 10)
}

// oriented turns a score into what the sorted set holds, and back: the best is always
// the lowest.
func (s shard) oriented(score int64) int64 {
	if s.Order == leaderboard.Descending {
		return -score
	}
	return score
}
