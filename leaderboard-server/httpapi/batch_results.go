package httpapi

import (
	"errors"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// appendBatch appends what became of the items of a batch.
func appendBatch(to []byte, items []item, catalog *leaderboard.Catalog, info *info) []byte {
	body := BatchResults{Results: make([]BatchResult, len(items))}
	for i := range items {
		body.Results[i] = resultOf(&items[i], catalog, info)
		switch body.Results[i].Status {
		case Accepted:
			body.Accepted++
		case Repeated:
			body.Repeated++
		case Refused:
			body.Refused++
		case Unknown:
			body.Unknown++
		}
	}
	return append(to, encode(body)...)
}

// resultOf says what became of an item.
func resultOf(i *item, catalog *leaderboard.Catalog, info *info) BatchResult {
	if i.Err != nil {
		p := toProblem(i.named(i.Err))
		status := Refused
		if p.kind == kindUnavailable || p.kind == kindInternal {
			status = Unknown
		}
		document := p.document(info)
		return BatchResult{Status: status, Problem: &document}
	}

	status := Accepted
	if i.Receipt.Replayed {
		status = Repeated
	}
	receipt := receiptOf(catalog, i.Receipt, i.username)
	return BatchResult{Status: status, Receipt: &receipt}
}

// named lets an error name what the item calls it.
func (i *item) named(err error) error {
	var e *leaderboard.Error
	if errors.As(err, &e) && e.Field == idempotencyHeader {
		return e.Named(itemKey)
	}
	return fieldNamed(withExternalID(err, i.externalID), "board", "game_id")
}
