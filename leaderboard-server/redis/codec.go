package redis

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// tieBytes is how many bytes of a member hold the event, big-endian; the
	// ledger numbers events below 2^48.
	tieBytes = 6
	// playerBytes is how many bytes of a member hold the player's number,
	// big-endian; the ledger numbers players below 2^40.
	playerBytes = 5
)

// encoded is a standing as the function apply takes it.
type encoded struct {
	// member is of the sorted set: tie, player and, where it is another board, the
	// origin's number.
	member []byte
	// last is the last event where the scoring is ordered; empty elsewhere.
	last []byte
	// score is the stored score in decimal.
	score string
}

func (s shard) encode(standing *leaderboard.Standing) encoded {
	buffer := make([]byte, 0, 2*tieBytes+playerBytes+binary.MaxVarintLen32)
	buffer = appendBigEndian(buffer, standing.Event, tieBytes)
	buffer = appendBigEndian(buffer, standing.Player, playerBytes)
	if standing.Origin != s.Board {
		buffer = binary.AppendUvarint(buffer, uint64(standing.Origin))
	}

	e := encoded{member: buffer, score: strconv.FormatInt(s.oriented(standing.Score), 10)}
	if s.Scoring.Ordered() {
		e.last = appendBigEndian(buffer[len(buffer):], standing.Last, tieBytes)
	}
	return e
}

// joinFlag is how the functions are told which of two states of an entry stays.
func (s shard) joinFlag() string {
	switch {
	case s.Scoring.Ordered():
		return "1"
	case s.Scoring == leaderboard.First:
		return "2"
	default:
		return "0"
	}
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

// transactionDigits is how long an applied transaction is, in hexadecimal.
const transactionDigits = 16

func encodeTransaction(xid uint64) string { return fmt.Sprintf("%0*x", transactionDigits, xid) }

// decodeTransactions reads what is at a shard's appliedKey.
func decodeTransactions(text string) ([]uint64, error) {
	xids := make([]uint64, 0, len(text)/transactionDigits)
	for ; len(text) >= transactionDigits; text = text[transactionDigits:] {
		xid, err := strconv.ParseUint(text[:transactionDigits], 16, 64)
		if err != nil {
			return nil, fmt.Errorf("an applied transaction is %q", text[:transactionDigits])
		}
		xids = append(xids, xid)
	}
	return xids, nil
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
	p.Player, p.Score, p.Origin = bigEndian(member[tieBytes:tieBytes+playerBytes]), s.oriented(stored), s.Board
	if rest := member[tieBytes+playerBytes:]; rest != "" {
		origin, n := binary.Uvarint([]byte(rest))
		if n <= 0 {
			return position{}, fmt.Errorf("a ranking entry has a damaged origin")
		}
		p.Origin = int32(origin)
	}

	return p, nil
}

// decodeAll reads a list of members and their scores, as the functions answer it.
func (s shard) decodeAll(answer any) ([]position, error) {
	list, _ := answer.([]any)
	positions := make([]position, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		member, _ := list[i].(string)
		score, _ := list[i+1].(string)
		p, err := s.decode(member, score)
		if err != nil {
			return nil, err
		}
		positions = append(positions, p)
	}
	return positions, nil
}
