package gameclient

import (
	"context"
	"net/http"
)

// Item is a score of a batch.
type Item struct {
	Submission
	// UserID is the player whose score it is.
	UserID string `json:"user_id"`
	// Key, where not empty, makes the item safe to repeat.
	Key string `json:"idempotency_key,omitempty"`
}

// ItemResult is what became of an item: accepted, repeated, refused, or unknown.
type ItemResult struct {
	Status  string   `json:"status"`
	Receipt *Receipt `json:"receipt"`
	Problem *Problem `json:"problem"`
}

// SubmitBatch submits many scores with the token of a service account, and returns what became
// of each.
func (c *Client) SubmitBatch(ctx context.Context, token string, items []Item) ([]ItemResult, error) {
	var answer struct {
		Results []ItemResult `json:"results"`
	}
	err := c.call(ctx, http.MethodPost, "/v1/scores/batch", nil, token, map[string][]Item{"items": items}, &answer)
	return answer.Results, err
}
