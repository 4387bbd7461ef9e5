package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// itemKey is the field of an item that is the header of a single submission.
const itemKey = "idempotency_key"

// readBatch reads the items of a request. One that cannot be taken has its error; what is
// wrong with the whole refuses all of them.
func readBatch(r *http.Request) (read batch, err error) {
	if body, ok := r.Body.(*meteredBody); ok {
		body.bound(maxBatchBody)
	}
	if err := contentType(r, mediaJSON, mediaLines); err != nil {
		return read, err
	}
	content, err := readAll(r)
	if err != nil {
		return read, err
	}

	b := body{fields: map[string]json.RawMessage{}}
	err = eachField(content, func(name string, decoder *jsontext.Decoder) error {
		if _, twice := b.fields[name]; twice || name == "items" && read.items != nil {
			return thereTwice(name)
		}
		if name == "items" {
			read.items, err = readItems(&b, decoder, len(content))
			return err
		}
		value, err := decoder.ReadValue()
		b.fields[name] = json.RawMessage(value.Clone())
		return err
	})
	if err != nil {
		return read, err
	}

	read.createPlayers = b.boolean("create_players")
	if read.items == nil {
		b.wrong("items", "items is required")
	}
	return read, b.finish()
}

// shortestItem is how long an item is at least that names a player, a score and a comma, in bytes.
const shortestItem = 32

// readItems reads the list of items, of a body of this size; it is not nil.
func readItems(b *body, decoder *jsontext.Decoder, size int) ([]item, error) {
	items := make([]item, 0, min(size/shortestItem, leaderboard.MaxSubmissions))
	if decoder.PeekKind() != jsontext.KindBeginArray {
		b.wrong("items", "items must be a list of scores")
		return items, decoder.SkipValue()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, err
	}

	count := 0
	for ; decoder.PeekKind() != jsontext.KindEndArray; count++ {
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		if count < leaderboard.MaxSubmissions {
			items = append(items, readItem(value))
		}
	}

	if count == 0 {
		b.wrong("items", "items is empty: it must have 1 to %d scores", leaderboard.MaxSubmissions)
	}
	if count > leaderboard.MaxSubmissions {
		b.wrong("items", "items has %d scores: send at most %d, and the others in another batch", count, leaderboard.MaxSubmissions)
	}
	_, err := decoder.ReadToken()
	return items, err
}

// readItem reads one item, whose error says why it cannot be taken.
func readItem(content []byte) (i item) {
	fields, err := parseObject(content)
	if err != nil {
		i.Err = ofItem(err)
		return i
	}

	b := body{fields: fields}
	i.Submission = b.submission()
	i.naming = b.naming()
	i.IdempotencyKey = b.itemKey()
	if i.Err = b.finish(); i.Err == nil {
		i.Err = i.check(i.Player)
	}
	return i
}

// ofItem says of an item what parseObject says of a body.
func ofItem(err error) error {
	p := toProblem(err)
	p.detail = strings.Replace(p.detail, "the body", "the item", 1)
	return p
}

// itemKey takes the key of an item, which may be left out: empty.
func (b *body) itemKey() string {
	if string(b.fields[itemKey]) == `""` {
		b.wrong(itemKey, "%s is empty: give it 1 to %d characters, or leave it out", itemKey, leaderboard.MaxIdempotencyKey)
	}
	key := b.text(itemKey, false)
	b.refused(leaderboard.CheckIdempotencyKey(itemKey, key))
	return key
}
