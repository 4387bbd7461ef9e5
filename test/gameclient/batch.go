package gameclient

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
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

// SubmitLines submits as SubmitBatch does, with a line each. After an error the results are those
// that came before: the other items may or may not be stored.
func (c *Client) SubmitLines(ctx context.Context, token string, items []Item) ([]ItemResult, error) {
	var sent bytes.Buffer
	for _, item := range items {
		line, err := json.Marshal(item)
		if err != nil {
			return nil, fmt.Errorf("encode an item: %w", err)
		}
		sent.Write(append(line, '\n'))
	}

	const path = "/v1/scores/batch"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint.JoinPath(path).String(), bytes.NewReader(sent.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Authorization", "Bearer "+token)

	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("POST %s: %w", path, err)
	}
	defer response.Body.Close()

	var received bytes.Buffer
	var results []ItemResult
	scanner := bufio.NewScanner(response.Body)
	for scanner.Scan() {
		received.Write(scanner.Bytes())
		received.WriteByte('\n')
		var line struct {
			ItemResult
			End string `json:"end"`
		}
		if response.StatusCode != http.StatusOK {
			problem := &Problem{Body: scanner.Text()}
			_ = json.Unmarshal(scanner.Bytes(), problem) // a proxy's error is no problem document
			problem.Status = response.StatusCode
			return nil, fmt.Errorf("POST %s: %w", path, problem)
		}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			return results, fmt.Errorf("POST %s: decode a line: %w", path, err)
		}
		if line.End == "" {
			results = append(results, line.ItemResult)
			continue
		}

		if c.Observe != nil {
			c.Observe(request, sent.Bytes(), response, received.Bytes())
		}
		if line.End != "complete" {
			return results, fmt.Errorf("POST %s: the stream ended as %s", path, line.End)
		}
		return results, nil
	}
	return results, fmt.Errorf("POST %s: the answer was cut off: %w", path, cmp.Or(scanner.Err(), io.ErrUnexpectedEOF))
}
