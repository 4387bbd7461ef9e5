package gameclient

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
)

// Held is a submission that a board holds back for review.
type Held struct {
	Submission int64  `json:"submission"`
	Status     string `json:"status"`
	Board      string `json:"game_id"`
	Score      int64  `json:"score"`
}

// SubmitForReview submits to a board that holds back what comes. With the same key it may be
// repeated until a decision on it.
func (c *Client) SubmitForReview(ctx context.Context, token, board string, score int64, key string) (held Held, err error) {
	header := http.Header{"Idempotency-Key": {strconv.Quote(key)}}
	err = c.callWithHeader(ctx, header, http.MethodPost, "/v1/scores/submit", nil, token, Submission{Board: board, Score: score}, &held)
	return held, err
}

// Decide accepts or rejects a submission that is held back, with the token of a moderator;
// decision is accept or reject.
func (c *Client) Decide(ctx context.Context, token string, submission int64, decision, reason string) error {
	var record struct{}
	path := fmt.Sprintf("/v1/admin/submissions/%d/%s", submission, decision)
	return c.call(ctx, http.MethodPost, path, nil, token, map[string]string{"reason": reason}, &record)
}
