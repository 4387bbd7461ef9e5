package redis

import (
	"encoding/binary"
	"fmt"
	"math/bits"
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
	// member is of the sorted set: columns, tie, player and, where it is another board, the
	// origin's number.
	member []byte
	// last is the last event where the scoring is ordered; empty elsewhere.
	last []byte
	// score is the stored score in decimal.
	score string
}

func (s shard) encode(standing *leaderboard.Standing) encoded {
	columns := s.CountColumns()
	buffer := make([]byte, 0, (columns+3)*maxNumber+binary.MaxVarintLen32)
	ranked := s.Ranked(standing.Columns)
	for _, value := range ranked[:columns] {
		buffer = appendNumber(buffer, value)
	}
	buffer = s.appendEvent(buffer, standing.Event)
	buffer = s.appendPlayer(buffer, standing.Player)
	if standing.Origin != s.Board {
		buffer = binary.AppendUvarint(buffer, uint64(standing.Origin))
	}

	e := encoded{member: buffer, score: strconv.FormatInt(s.oriented(standing.Score), 10)}
	if s.Scoring.Ordered() {
		e.last = s.appendEvent(buffer[len(buffer):], standing.Last)
	}
	return e
}

// appendEvent writes an event's number in the order of the numbers. Where members have no
// columns it has tieBytes.
func (s shard) appendEvent(b []byte, event int64) []byte {
	if s.CountColumns() == 0 {
		return appendBigEndian(b, event, tieBytes)
	}
	return appendNumber(b, event)
}

// appendPlayer writes a player's number, of playerBytes where members have no columns.
func (s shard) appendPlayer(b []byte, player int64) []byte {
	if s.CountColumns() == 0 {
		return appendBigEndian(b, player, playerBytes)
	}
	return appendNumber(b, player)
}

// encodePlayer is a player's number as it is in members.
func (s shard) encodePlayer(player int64) string {
	return string(s.appendPlayer(make([]byte, 0, maxNumber), player))
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

// ranksFlag is how the functions are told how ranks are counted.
func (s shard) ranksFlag() string {
	switch s.Ranks {
	case leaderboard.Competition:
		return "c"
	case leaderboard.Dense:
		return "d"
	default:
		return "o"
	}
}

// maxNumber is how long a number of a member with columns is at most, in bytes.
const maxNumber = 8

// appendNumber writes a number so that the bytes of numbers have their order: a 1 where it is
// not negative, then as many ones as bytes follow, a 0, and the number, big-endian. Of what
// is below 0 it is the complement, of -1 that of 0. So 1 byte holds up to 63, 2 up to 8191, 3
// up to 1048575.
func appendNumber(b []byte, value int64) []byte {
	magnitude, flip := uint64(value), byte(0)
	if value < 0 {
		magnitude, flip = ^uint64(value), 0xff
	}

	size := 1
	for size < maxNumber && magnitude>>(7*size-1) != 0 {
		size++
	}

	at := len(b)
	b = appendBigEndian(b, int64(magnitude), size)
	b[at] |= ^byte(0) << (8 - size)
	for ; at < len(b); at++ {
		b[at] ^= flip
	}
	return b
}

// readNumber reads what appendNumber wrote.
func readNumber(text string) (value int64, rest string, ok bool) {
	if text == "" {
		return 0, "", false
	}

	first, flip := text[0], byte(0)
	if first < 0x80 {
		first, flip = ^first, 0xff
	}
	size := bits.LeadingZeros8(^first)
	if len(text) < size {
		return 0, "", false
	}

	for i := range size {
		digits := text[i] ^ flip
		if i == 0 && size < maxNumber {
			digits &= 1<<(7-size) - 1
		} else if i == 0 {
			digits = 0
		}
		value = value<<8 | int64(digits)
	}
	if flip != 0 {
		value = ^value
	}
	return value, text[size:], true
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

// position is where an entry stands among all entries of its board.
type position struct {
	leaderboard.OwnEntry
	// order is the stored score: lower ranks first.
	order int64
	// key is what the member begins with: the columns and the tie. It breaks equal orders:
	// lower ranks first, in the order of its bytes.
	key string
	// columns is how many bytes of the key those are.
	columns int
	// distinct is how many of what entries have is better, where ranks are dense.
	distinct int64
}

func (p *position) before(q *position) bool {
	if p.order != q.order {
		return p.order < q.order
	}
	return p.key < q.key
}

// group is the position before all entries with the same score and columns.
func (p *position) group() *position {
	g := *p
	g.key = p.key[:p.columns]
	return &g
}

// count sets the rank by what was counted.
func (p *position) count(ranks leaderboard.Ranks) {
	switch ranks {
	case leaderboard.Competition:
		p.Rank = p.Better + 1
	case leaderboard.Dense:
		p.Rank = p.distinct + 1
	default:
		p.Rank, p.Better = p.Place, p.Place-1
	}
}

// readKey reads what a member begins with, its key and the player.
func (s shard) readKey(member string) (p position, rest string, ok bool) {
	columns := s.CountColumns()
	if columns == 0 {
		if len(member) < tieBytes+playerBytes {
			return p, "", false
		}
		p.key, rest = member[:tieBytes], member[tieBytes:]
		p.Event, p.Player = bigEndian(p.key), bigEndian(rest[:playerBytes])
		return p, rest[playerBytes:], true
	}

	rest = member
	for i := range columns {
		if p.Columns[i], rest, ok = readNumber(rest); !ok {
			return p, "", false
		}
	}
	p.Columns, p.columns = s.Submitted(p.Columns), len(member)-len(rest)
	if p.Event, rest, ok = readNumber(rest); !ok {
		return p, "", false
	}
	p.key = member[:len(member)-len(rest)]
	p.Player, rest, ok = readNumber(rest)
	return p, rest, ok
}

// decode reads a member and its stored score.
func (s shard) decode(member, score string) (position, error) {
	p, rest, ok := s.readKey(member)
	if !ok {
		return position{}, fmt.Errorf("a ranking entry has a damaged member of %d bytes", len(member))
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

	p.order, p.Score, p.Origin = stored, s.oriented(stored), s.Board
	if rest != "" {
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
