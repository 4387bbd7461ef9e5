package leaderboard

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits of the audit.
const (
	// MaxReason and MaxNote bound the texts of a record, in bytes.
	MaxReason = 200
	MaxNote   = 2_000
	// MaxAuditPage is how many records one answer has at most.
	MaxAuditPage = 200
)

// auditFormat begins what the hash of a record is of. Another encoding has another.
const auditFormat = "leaderboard audit 1"

// AuditHash is the SHA-256 of a record and of all before it.
type AuditHash [sha256.Size]byte

// String is in hexadecimal digits.
func (h AuditHash) String() string { return hex.EncodeToString(h[:]) }

// AuditAction is what was done.
type AuditAction string

// SealLost is the action of a record that a server adds by itself, before its next one, where it
// could not tell by the seal that the records before are those that were written: the key is
// no longer there, or somebody has changed them.
const SealLost AuditAction = "seal-lost"

// AuditRecord is one thing that was done by an admin or a moderator. Records are numbered
// from 1 and never changed.
type AuditRecord struct {
	Number int64
	// At is when it was done, by the ledger's clock, to the microsecond.
	At time.Time
	// Actor is the service account that did it.
	Actor  string
	Action AuditAction
	// Player, Board and What say whom or what it was about; empty: not that. What is, of the
	// board, an event or a season of a window.
	Player PlayerID
	Board  string
	What   string
	// Reason and Note are why.
	Reason, Note string
	// Changed says that anything became another.
	Changed bool
	Hash    AuditHash
}

// HashAfter is the hash of the record that comes after the one with the hash previous; the first
// comes after the zero hash. It is of the format, the hash before, the number and the time (in
// microseconds since 1970) in 8 bytes each, big-endian, a byte that is 1 if anything was
// changed, and each text behind its length in 4 bytes, so that no two records are the same
// bytes.
func (r AuditRecord) HashAfter(previous AuditHash) AuditHash {
	b := append([]byte(auditFormat), previous[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Number))
	b = binary.BigEndian.AppendUint64(b, uint64(r.At.UnixMicro()))
	changed := byte(0)
	if r.Changed {
		changed = 1
	}
	b = append(b, changed)
	for _, text := range []string{r.Actor, string(r.Action), string(r.Player), r.Board, r.What, r.Reason, r.Note} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	return sha256.Sum256(b)
}

// AuditHead names a record and all before it.
type AuditHead struct {
	Number int64
	Hash   AuditHash
}

// String is number:hash, as ParseAuditHead reads it.
func (h AuditHead) String() string { return strconv.FormatInt(h.Number, 10) + ":" + h.Hash.String() }

// ParseAuditHead reads what String wrote.
func ParseAuditHead(text string) (head AuditHead, err error) {
	number, hash, _ := strings.Cut(text, ":")
	sum, hexErr := hex.DecodeString(hash)
	if head.Number, err = strconv.ParseInt(number, 10, 64); err != nil || hexErr != nil || head.Number < 0 || len(sum) != len(head.Hash) {
		return AuditHead{}, fmt.Errorf("%q is not the head of an audit: write NUMBER:HASH, with the hash in %d hexadecimal digits", text, 2*len(head.Hash))
	}
	copy(head.Hash[:], sum)
	return head, nil
}

// Sealer makes texts that show who made them, with keys that the ledger does not have.
type Sealer interface {
	// Seal makes one of a content.
	Seal(content string) (string, error)
	// Open returns the content. An error says that this game's servers have not made it, or
	// with a key that is no longer listed.
	Open(sealed string) (content string, err error)
	// Fresh says whether one was made with the key that is used now. Others are to be made
	// again before their key is gone.
	Fresh(sealed string) bool
}

// AuditQuery asks for a part of the audit.
type AuditQuery struct {
	// Before bounds the numbers; 0: from the last record on.
	Before int64
	// Player is whom they are about; empty: any.
	Player PlayerID
	Limit  int
}

// Audit returns records, the last one first.
func (s *Service) Audit(ctx context.Context, query AuditQuery) ([]AuditRecord, error) {
	if query.Limit < 1 || query.Limit > MaxAuditPage {
		return nil, invalid("page_size", "page_size must be from 1 to %d", MaxAuditPage)
	}
	return s.Moderator.Audit(ctx, query)
}
