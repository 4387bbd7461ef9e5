package httpapi

import (
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// resultCounts are how many items have each status.
type resultCounts map[BatchResultStatus]int

// encodeBatch encodes what became of the items of a batch.
func encodeBatch(items []item, catalog *leaderboard.Catalog, info *info) []byte {
	body, counts := BatchResults{Results: make([]BatchResult, len(items))}, resultCounts{}
	for i := range items {
		body.Results[i] = resultOf(&items[i], catalog, info)
		counts[body.Results[i].Status]++
	}
	body.Accepted, body.Repeated, body.Refused, body.Unknown = counts[Accepted], counts[Repeated], counts[Refused], counts[Unknown]
	return encode(body)
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
	receipt := receiptOf(catalog, i.Receipt, i.name)
	return BatchResult{Status: status, Receipt: &receipt}
}

// named lets an error name what the item calls it.
func (i *item) named(err error) error {
	err = fieldNamed(err, idempotencyHeader, itemKey)
	return fieldNamed(i.naming.named(err), "board", "game_id")
}
