package httpapi

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// cursorPurpose tells cursors from whatever else is sealed.
	cursorPurpose = "cursor"
	// cursorVersion begins the content of a cursor; another layout needs another. That of
	// boards with columns, or ranks that entries share, has more, and that of places that a
	// walk came to on its way back, or goes back from, all.
	cursorVersion, longCursorVersion, backCursorVersion = 1, 2, 3
	// tieBytes is how long a key is where a board has no columns.
	tieBytes = 6
	// maxCursor bounds a cursor, in bytes; ours have some 180, or 280, and 400 at most.
	maxCursor = 512
)

// sealCursor writes a walk as a cursor.
func (a *API) sealCursor(w *leaderboard.Walk) (string, error) {
	return a.Tokens.Seal(cursorPurpose, formatWalk(w))
}

func formatWalk(w *leaderboard.Walk) []byte {
	version := byte(cursorVersion)
	switch {
	case w.Back || w.Before:
		version = backCursorVersion
	case w.Rank != 0 || len(w.Key) != tieBytes:
		version = longCursorVersion
	}

	b := []byte{version}
	b = binary.AppendUvarint(b, uint64(w.Board))
	b = binary.AppendUvarint(b, uint64(w.Season))
	b = binary.AppendUvarint(b, uint64(len(w.Snapshot)))
	b = append(b, w.Snapshot...)
	b = binary.BigEndian.AppendUint64(b, w.Stamp)
	b = binary.AppendVarint(b, w.AsOf.UnixMilli())
	b = binary.AppendVarint(b, w.Expires.UnixMilli())
	b = binary.AppendVarint(b, w.Order)
	if version == cursorVersion {
		tie := append(make([]byte, 8-tieBytes, 8), w.Key...)
		b = binary.AppendUvarint(b, binary.BigEndian.Uint64(tie))
		return binary.AppendUvarint(b, uint64(w.Passed))
	}

	b = binary.AppendUvarint(b, uint64(w.Passed))
	b = binary.AppendUvarint(b, uint64(len(w.Key)))
	b = append(b, w.Key...)
	b = binary.AppendVarint(binary.AppendVarint(b, w.Rank), w.Score)
	for _, c := range w.Columns {
		b = binary.AppendVarint(b, c)
	}
	if version == longCursorVersion {
		return b
	}

	b = append(b, flag(w.Back), flag(w.Before))
	if b = binary.AppendUvarint(b, uint64(w.Tied)); w.Tied == 0 {
		return b
	}
	b = binary.AppendVarint(b, w.TiedFrom.Order)
	b = binary.AppendUvarint(b, uint64(len(w.TiedFrom.Key)))
	return append(append(b, w.TiedFrom.Key...), flag(w.TiedFrom.Before))
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// openCursor reads a cursor of a walk that a server of this game wrote.
func (a *API) openCursor(cursor string) (*leaderboard.Walk, error) {
	return openSealed(a, cursorPurpose, cursor, "this game", parseWalk)
}

// openSealed reads a cursor that a server of this game sealed for a purpose. source is what
// a client is told that it has to be of.
func openSealed[T any](a *API, purpose, cursor, source string, parse func(content []byte) (*T, bool)) (*T, error) {
	refused := leaderboard.Errorf(leaderboard.CodeInvalid, "cursor",
		"cursor is damaged or not one of %s: pass the cursor of an answer on as it is, or leave cursor out to begin", source)
	if len(cursor) > maxCursor {
		return nil, refused
	}

	content, err := a.Tokens.Open(purpose, cursor)
	if errors.Is(err, auth.ErrNotSealed) {
		return nil, refused.WithCause(err)
	}
	if err != nil {
		return nil, err
	}

	read, ok := parse(content)
	if !ok {
		return nil, refused // of a later version of the server
	}
	return read, nil
}

// parseWalk reads what sealCursor wrote.
func parseWalk(content []byte) (w *leaderboard.Walk, ok bool) {
	r := cursorReader{rest: content}
	version := r.bytes(1)
	if version == nil || version[0] < cursorVersion || version[0] > backCursorVersion {
		return nil, false
	}

	w = &leaderboard.Walk{Board: int32(r.uvarint()), Season: int32(r.uvarint())}
	w.Snapshot = string(r.bytes(r.uvarint()))
	if stamp := r.bytes(8); stamp != nil {
		w.Stamp = binary.BigEndian.Uint64(stamp)
	}

	w.AsOf, w.Expires = time.UnixMilli(r.varint()), time.UnixMilli(r.varint())
	w.Order = r.varint()
	if version[0] == cursorVersion {
		tie := binary.BigEndian.AppendUint64(nil, r.uvarint())
		w.Key, w.Passed = string(tie[8-tieBytes:]), int64(r.uvarint())
	} else {
		w.Passed = int64(r.uvarint())
		w.Key = string(r.bytes(r.uvarint()))
		w.Rank, w.Score = r.varint(), r.varint()
		for i := range w.Columns {
			w.Columns[i] = r.varint()
		}
	}
	if version[0] == backCursorVersion {
		w.Back, w.Before = r.flag(), r.flag()
		if w.Tied = int64(r.uvarint()); w.Tied != 0 {
			w.TiedFrom.Order = r.varint()
			w.TiedFrom.Key = string(r.bytes(r.uvarint()))
			w.TiedFrom.Before = r.flag()
		}
		r.short = r.short || !w.Back && !w.Before
	}
	return w, !r.short && len(r.rest) == 0
}

// cursorReader takes values off the front; short says that one was missing.
type cursorReader struct {
	rest  []byte
	short bool
}

func (r *cursorReader) bytes(n uint64) []byte {
	if r.short || n > uint64(len(r.rest)) {
		r.short = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *cursorReader) flag() bool {
	b := r.bytes(1)
	return b != nil && b[0] == 1
}

func (r *cursorReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.bytes(uint64(max(n, 0)))
	r.short = r.short || n <= 0
	return v
}

func (r *cursorReader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.bytes(uint64(max(n, 0)))
	r.short = r.short || n <= 0
	return v
}
