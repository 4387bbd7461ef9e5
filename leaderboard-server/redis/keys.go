package redis

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// bucketSize is how many players share a hash: the default of
	// hash-max-listpack-entries, above which a hash takes three times the memory.
	bucketSize = 128
	// tieBytes is how many bytes of a member hold the event, big-endian; the
	// ledger numbers events below 2^48.
	tieBytes = 6
	// playerBytes is how many bytes of a member hold the player's number,
	// big-endian; the ledger numbers players below 2^40.
	playerBytes = 5
)

// shardID names one shard of the season of a board.
type shardID struct {
	board, season int32
	index         int
}

// shard is one part of a board's ranking.
type shard struct {
	shardID
	name string
	// of is over how many shards the board is spread.
	of int
	// descending scores are stored negated, so that the best is always the lowest.
	descending bool
}

func shardOf(board leaderboard.LiveBoard, season int32, index int) shard {
	return shard{shardID{board.Number, season, index}, board.Name, board.Shards, board.Order == leaderboard.Descending}
}

// shardsOf returns all shards of the board's open season.
func shardsOf(board leaderboard.LiveBoard) []shard {
	shards := make([]shard, board.Shards)
	for i := range shards {
		shards[i] = shardOf(board, board.Season, i)
	}
	return shards
}

// shardIndex is the shard that a player's entry is in.
func shardIndex(player int64, shards int) int { return int(player % int64(shards)) }

func (s shard) key(prefix, suffix string) string {
	return fmt.Sprintf("%s{%s:%d:%d}:%s", prefix, s.name, s.season, s.index, suffix)
}

func (s shard) entriesKey(prefix string) string { return s.key(prefix, "e") }
func (s shard) stateKey(prefix string) string   { return s.key(prefix, "m") }
func (s shard) bucketKey(prefix string, bucket int64) string {
	return s.key(prefix, "p:"+strconv.FormatInt(bucket, 10))
}

// place returns the hash and the field that hold a player of this shard.
func (s shard) place(player int64) (bucket int64, field string) {
	local := player / int64(s.of)
	return local / bucketSize, strconv.FormatInt(local%bucketSize, 10)
}

// identity names what the shard's data belong to: the ledger, and over how many
// shards the board was spread when they were written.
func (s shard) identity(ledger string) string { return ledger + "/" + strconv.Itoa(s.of) }

// oriented turns a score into what the sorted set holds, and back.
func (s shard) oriented(score int64) int64 {
	if s.descending {
		return -score
	}
	return score
}

// encoded is a standing as the apply script takes it.
type encoded struct {
	// member is of the sorted set: tie, player and, where it is another board,
	// the origin's number. Of a removed entry the tie is zero.
	member []byte
	// value is the player's field in its bucket: tie, version, origin.
	value []byte
	// score is the stored score in decimal; empty for a removed entry.
	score string
}

func (s shard) encode(standing *leaderboard.Standing) encoded {
	buffer := make([]byte, 0, 2*tieBytes+playerBytes+3*binary.MaxVarintLen64)
	event := standing.Event
	var e encoded

	if standing.Removed {
		event = 0 // no event has this number
	} else {
		e.score = strconv.FormatInt(s.oriented(standing.Score), 10)
	}

	buffer = appendBigEndian(buffer, event, tieBytes)
	buffer = appendBigEndian(buffer, standing.Player, playerBytes)
	buffer = s.appendOrigin(buffer, standing)
	e.member = buffer
	value := appendBigEndian(buffer[len(buffer):], event, tieBytes)
	value = binary.AppendUvarint(value, uint64(standing.Version))
	e.value = s.appendOrigin(value, standing)

	return e
}

func (s shard) appendOrigin(b []byte, standing *leaderboard.Standing) []byte {
	if standing.Removed || standing.Origin == s.board {
		return b
	}
	return binary.AppendUvarint(b, uint64(standing.Origin))
}

func appendBigEndian(b []byte, n int64, size int) []byte {
	var full [8]byte
	binary.BigEndian.PutUint64(full[:], uint64(n))
	return append(b, full[8-size:]...)
}

func bigEndian(s string) int64 {
	var n int64
	for i := range len(s) {
		n = n<<8 | int64(s[i])
	}
	return n
}

func encodePlayer(player int64) string {
	return string(appendBigEndian(make([]byte, 0, playerBytes), player, playerBytes))
}

// position is where an entry stands among all entries of its board.
type position struct {
	leaderboard.RankingEntry
	// order is the stored score: lower ranks first.
	order int64
	// tie breaks equal orders: lower ranks first.
	tie int64
}

func (p position) before(q position) bool {
	if p.order != q.order {
		return p.order < q.order
	}
	return p.tie < q.tie
}

// decode reads a member and its stored score.
func (s shard) decode(member, score string) (position, error) {
	if len(member) < tieBytes+playerBytes {
		return position{}, fmt.Errorf("a ranking entry has %d bytes", len(member))
	}

	// Redis writes integral doubles without a fraction, but some versions with an
	// exponent.
	stored, err := strconv.ParseInt(score, 10, 64)
	if err != nil {
		double, err := strconv.ParseFloat(score, 64)
		if err != nil {
			return position{}, fmt.Errorf("a ranking entry has the score %q", score)
		}
		stored = int64(double)
	}

	p := position{order: stored, tie: bigEndian(member[:tieBytes])}
	p.Player, p.Score, p.Origin = bigEndian(member[tieBytes:tieBytes+playerBytes]), s.oriented(stored), s.board
	if rest := member[tieBytes+playerBytes:]; rest != "" {
		origin, n := binary.Uvarint([]byte(rest))
		if n <= 0 {
			return position{}, fmt.Errorf("a ranking entry has a damaged origin")
		}
		p.Origin = int32(origin)
	}

	return p, nil
}

// formatXid writes a transaction number so that text compares as the number.
func formatXid(xid uint64) string { return fmt.Sprintf("%020d", xid) }
